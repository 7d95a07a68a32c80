"""What arrived in each second of the run, and how late, for all subscriptions together."""

from array import array
from collections import Counter, defaultdict

from webhookd_load_test.compare.deliveries import Delivery
from webhookd_load_test.compare.latencies import between_ms, latency_of, samples
from webhookd_load_test.compare.unusable_folder import UnusableFolderError
from webhookd_load_test.run_folder.result import Latency, Second
from webhookd_load_test.run_folder.units import NS_PER_MS, NS_PER_S

LONGEST_S = 30 * 24 * 3600
"""A run that seems to take longer has a wrong time in one of its files."""


class RunSeries:
    """Counts deliveries by the second, from the begin of the run; eight bytes for each first delivery."""

    def __init__(self, began_ns: int) -> None:
        self._began_ns = began_ns
        self._received: Counter[int] = Counter()
        self._duplicates: Counter[int] = Counter()
        self._late_ms: defaultdict[int, array[int]] = defaultdict(samples)
        self._late_from_publish_ms = samples()
        self._first_ns = self.last_ns = 0

    def add(self, delivery: Delivery) -> int:
        """Count a delivery, of whatever kind; returns its second."""
        at_ns = delivery.received_ns
        second = max(0, (at_ns - self._began_ns) // NS_PER_S)
        self._received[second] += 1
        self._first_ns = self._first_ns or at_ns
        self.last_ns = at_ns
        return second

    def add_first(self, delivery: Delivery, *, timed: bool = True) -> int:
        """Count the first delivery of a record; returns its latency in ms. It counts for the run if it is `timed`."""
        at_ms, second = delivery.received_ns // NS_PER_MS, self.add(delivery)
        late_ms = between_ms(delivery.timestamp_ms, at_ms)
        if not timed:
            return late_ms
        self._late_ms[second].append(late_ms)
        if delivery.sent_ns is not None:
            self._late_from_publish_ms.append(between_ms(delivery.sent_ns // NS_PER_MS, at_ms))
        return late_ms

    def add_duplicate(self, delivery: Delivery) -> None:
        """Count a delivery after the first one of its record."""
        self._duplicates[self.add(delivery)] += 1

    def latency(self) -> Latency | None:
        """The time from the append to the first delivery."""
        return latency_of(self._late_ms.values())

    def latency_from_publish(self) -> Latency | None:
        """The time from the publication to the first delivery."""
        return latency_of([self._late_from_publish_ms])

    def throughput_per_s(self) -> float:
        """Deliveries a second, from the first to the last; 0 when all came at once."""
        took_ns = self.last_ns - self._first_ns
        return self._received.total() * NS_PER_S / took_ns if took_ns > 0 else 0.0

    def seconds(self, published: Counter[int], refused: Counter[int]) -> list[Second]:
        """All seconds up to the last one in which something happened. What was before the begin counts as its first.

        Raises UnusableFolderError when they are too many.
        """
        counts = [_from_begin(one) for one in (published, self._received, self._duplicates, refused)]
        last = max((second for each in counts for second in each), default=-1)
        if last > LONGEST_S:
            raise UnusableFolderError(f"run.json: began_ns is {last:,} s before the last event: a wrong time")
        return [self._second(at_s, *(each[at_s] for each in counts)) for at_s in range(last + 1)]

    def _second(self, at_s: int, published: int, received: int, duplicates: int, refused: int) -> Second:
        latency = latency_of([self._late_ms[at_s]])
        return Second(
            at_s=at_s,
            published=published,
            received=received,
            duplicates=duplicates,
            refused=refused,
            latency_p50_ms=latency.p50_ms if latency else None,
            latency_p90_ms=latency.p90_ms if latency else None,
            latency_p99_ms=latency.p99_ms if latency else None,
        )


def _from_begin(counts: Counter[int]) -> Counter[int]:
    moved: Counter[int] = Counter()
    for second, count in counts.items():
        moved[max(second, 0)] += count
    return moved
