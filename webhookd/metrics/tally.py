"""Counters for the hot path: one thread writes them without a lock, and Prometheus' thread reads them.

A request of a worker takes about 25 µs, and to observe a value in a histogram of prometheus-client 2 µs; here it takes
0.2 µs. A reader may see a count without its sum for a moment; the next reading has both.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator

from webhookd.metrics.declaration import Sampled
from webhookd.metrics.samples import HistogramValue, Sample


class CounterTally:
    """The series of a counter with one label. Written by one thread."""

    def __init__(self, metric: Sampled) -> None:
        self._metric = metric
        self._counts: Counter[str] = Counter()

    def add(self, label: str, number: int = 1) -> None:
        """Add to the series with this label value."""
        self._counts[label] += number

    def samples(self) -> Iterator[Sample]:
        """Return the values; may be called by any thread."""
        for label, number in self._counts.copy().items():
            yield Sample(self._metric, (label,), number)


class HistogramTally:
    """One series of a histogram; `labels` are the values of its labels. Written by one thread."""

    def __init__(self, metric: Sampled, *labels: str) -> None:
        self._metric = metric
        self._labels = labels
        self._bounds = metric.buckets
        self._counts = [0] * (len(metric.buckets) + 1)
        self._total = 0.0

    def observe(self, value: float, number: int = 1) -> None:
        """Add the same value `number` times."""
        self._counts[bisect_left(self._bounds, value)] += number
        self._total += value * number

    def observe_all(self, values: list[float] | list[int]) -> None:
        """Add these values; sorts them in place. From some ten values on it takes a third of the time of `observe`."""
        values.sort()
        below, number = 0, len(values)
        for bucket, bound in enumerate(self._bounds):
            if below == number:
                break
            up_to = bisect_right(values, bound, below)
            self._counts[bucket] += up_to - below
            below = up_to
        self._counts[-1] += number - below
        self._total += sum(values)

    def samples(self) -> Iterator[Sample]:
        """Return the values; may be called by any thread."""
        yield Sample(self._metric, self._labels, HistogramValue(tuple(self._counts), self._total))
