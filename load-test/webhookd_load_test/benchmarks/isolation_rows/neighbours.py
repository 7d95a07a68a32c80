"""Two rows of the isolation benchmark: how much one large subscription delays ten healthy ones of its ingest process.

row      beside the ten                                                         required of the ten
start    a subscription of 300 partitions starts, with records in each          p99 ≤ 1.2 times their p99 alone
held     one of 64 partitions, half of which its endpoint refuses: these        p99 ≤ 1.2 times their p99 alone
         lanes' circuits open (`on_exhausted: pause`), and ingest requests
         their end offsets
"""

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import click

from webhookd_load_test.benchmarks.endpoints.switchable_receiver import SwitchableReceiver
from webhookd_load_test.benchmarks.isolation_rows.healthy_p99 import MAX_RATIO, RowFailedError, healthy_p99_ms
from webhookd_load_test.benchmarks.kafka.backlog import backlog
from webhookd_load_test.benchmarks.kafka.trickle import Trickle
from webhookd_load_test.benchmarks.rig.rig import Rig
from webhookd_load_test.process_usage import wait_until

HEALTHY, HEALTHY_PER_S = 10, 10.0
"""Subscriptions with a topic each, and records a second to each."""

STARTING_PARTITIONS, RECORDS_IN_EACH = 300, 1
"""More records would measure the receiver, which handles some two thousand requests a second in total."""

HELD_PARTITIONS, HELD_PER_S = 64, 16.0
SETTLE_S, WINDOW_S = 10.0, 20.0
HELD_WINDOW_S = 40.0
"""Longer than the former interval of requests for end offsets, 30 s."""

START_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The p99 of the ten alone and beside the large subscription, in milliseconds, and the requests of the latter."""

    alone_ms: float
    beside_ms: float
    arrived: int

    @property
    def ratio(self) -> float:
        """The p99 beside the other subscription, divided by the p99 alone."""
        return self.beside_ms / self.alone_ms


class Neighbours:
    """One run with ten healthy subscriptions and a large one, on a running rig."""

    def __init__(self, rig: Rig, receiver: SwitchableReceiver, number: int) -> None:
        self._rig = rig
        self._receiver = receiver
        self._number = number

    def start(self) -> Comparison:
        """Measure while a subscription with 300 partitions starts."""
        topic, address = f"starting-{self._number}", self._rig.kafka.address
        self._rig.create_topics({topic: STARTING_PARTITIONS})
        backlog(address, topic, STARTING_PARTITIONS, STARTING_PARTITIONS * RECORDS_IN_EACH)
        with self._ten(f"start-{self._number}"):
            alone_ms = healthy_p99_ms(self._receiver, "start", WINDOW_S)
            with self._rig.subscription(self._receiver.url(f"other/{topic}"), topic):
                beside_ms = healthy_p99_ms(self._receiver, "start", WINDOW_S)
        arrived = len(self._receiver.arrivals[f"/other/{topic}"])
        return Comparison(alone_ms=alone_ms, beside_ms=beside_ms, arrived=arrived)

    def held(self) -> Comparison:
        """Measure while the circuits of 32 of 64 lanes are open."""
        topic, address = f"held-{self._number}", self._rig.kafka.address
        self._rig.create_topics({topic: HELD_PARTITIONS})
        with self._ten(f"held-{self._number}"):
            alone_ms = healthy_p99_ms(self._receiver, "held", HELD_WINDOW_S)
            retry = {"max_retries": 0, "on_exhausted": "pause"}
            path = f"half/{topic}"
            with (
                self._rig.subscription(self._receiver.url(path), topic, start="latest", retry=retry),
                Trickle(address, {topic: HELD_PARTITIONS}, HELD_PER_S),
            ):
                self._until_half_is_refused()
                beside_ms = healthy_p99_ms(self._receiver, "held", HELD_WINDOW_S)
        return Comparison(alone_ms=alone_ms, beside_ms=beside_ms, arrived=len(self._receiver.arrivals["/" + path]))

    @contextmanager
    def _ten(self, name: str) -> Iterator[None]:
        """Run ten healthy subscriptions, and produce records for them."""
        topics = {f"healthy-{name}-{n}": 1 for n in range(HEALTHY)}
        self._rig.create_topics(topics)
        ids = [self._rig.subscribe(self._receiver.url(f"healthy/{t}"), t, start="latest") for t in topics]
        with Trickle(self._rig.kafka.address, topics, HEALTHY_PER_S * HEALTHY):
            self._until_all_arrive([f"/healthy/{topic}" for topic in topics])
            time.sleep(SETTLE_S)
            yield
        for id_ in ids:
            self._rig.unsubscribe(id_)

    def _until_all_arrive(self, paths: Sequence[str]) -> None:
        if not wait_until(lambda: all(path in self._receiver.arrivals for path in paths), START_TIMEOUT_S):
            raise RowFailedError("the ten: not all healthy subscriptions received records")

    def _until_half_is_refused(self) -> None:
        if not wait_until(lambda: len(self._receiver.refused) == HELD_PARTITIONS // 2, START_TIMEOUT_S):
            raise RowFailedError(f"held: only {len(self._receiver.refused)} lanes were refused")
        self._receiver.refused.clear()


def neighbours_row(name: str, rig: Rig, receiver: SwitchableReceiver, count: int) -> bool:
    """Measure the row of that name so many times, and print each run and the median; returns whether it held."""
    runs: list[Comparison] = []
    for number in range(count):
        neighbours = Neighbours(rig, receiver, number)
        found = neighbours.start() if name == "start" else neighbours.held()
        runs.append(found)
        click.echo(
            f"| {name} {number + 1} | {found.alone_ms:.1f} ms | {found.beside_ms:.1f} ms ({found.ratio:.2f}) "
            f"| {found.arrived} requests |",
        )
    ratio = statistics.median(run.ratio for run in runs)
    held = ratio <= MAX_RATIO and all(run.arrived for run in runs)
    click.echo(f"ratio: {name} {ratio:.2f} (at most {MAX_RATIO}): {'held' if held else 'MISSED'}")
    return held
