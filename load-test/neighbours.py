"""Two rows of the isolation benchmark: what one large subscription costs the ten healthy ones of its ingest process.

row      beside the ten                                                         asked of the ten
start    a subscription of 300 partitions begins, with records in each          p99 ≤ 1.2 times theirs alone
held     one of 64 partitions, half of which its endpoint refuses: these lanes  p99 ≤ 1.2 times theirs alone
         are held (`on_exhausted: pause`), and their ends are asked for
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from measure import wait_until
from moody_receiver import MoodyReceiver
from publish import Trickle, backlog, create_topics
from rig import Rig

HEALTHY, HEALTHY_PER_S = 10, 10.0
"""Subscriptions with a topic each, and records a second to each."""

STARTING_PARTITIONS, RECORDS_IN_EACH = 300, 1
"""More records would measure the receiver: it answers some two thousand requests a second, for both kinds."""

HELD_PARTITIONS, HELD_PER_S = 64, 16.0
SETTLE_S, WINDOW_S = 10.0, 20.0
HELD_WINDOW_S = 40.0
"""Longer than the interval at which ends were once asked for, 30 s."""

BEGUN_WITHIN_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """The p99 of the ten alone and beside the other one, in milliseconds, and how much of that one arrived."""

    alone_ms: float
    beside_ms: float
    arrived: int

    @property
    def ratio(self) -> float:
        """How many times that of the ten alone."""
        return self.beside_ms / self.alone_ms


class Neighbours:
    """One run's ten subscriptions, on a rig whose processes run."""

    def __init__(self, rig: Rig, receiver: MoodyReceiver, number: int) -> None:
        self._rig = rig
        self._receiver = receiver
        self._number = number

    def start(self) -> Beside:
        """While 300 partitions begin."""
        topic, address = f"starting-{self._number}", self._rig.kafka.address
        create_topics(address, {topic: STARTING_PARTITIONS})
        backlog(address, topic, STARTING_PARTITIONS, STARTING_PARTITIONS * RECORDS_IN_EACH)
        with self._ten(f"start-{self._number}"):
            alone_ms = self._window(WINDOW_S)
            with self._rig.subscription(self._receiver.url(f"other/{topic}"), topic):
                beside_ms = self._window(WINDOW_S)
        arrived = len(self._receiver.arrivals[f"/other/{topic}"])
        return Beside(alone_ms=alone_ms, beside_ms=beside_ms, arrived=arrived)

    def held(self) -> Beside:
        """While 32 of 64 lanes are held."""
        topic, address = f"held-{self._number}", self._rig.kafka.address
        create_topics(address, {topic: HELD_PARTITIONS})
        with self._ten(f"held-{self._number}"):
            alone_ms = self._window(HELD_WINDOW_S)
            retry = {"max_retries": 0, "on_exhausted": "pause"}
            path = f"half/{topic}"
            with (
                self._rig.subscription(self._receiver.url(path), topic, start="latest", retry=retry),
                Trickle(address, {topic: HELD_PARTITIONS}, HELD_PER_S),
            ):
                self._until_half_is_refused()
                beside_ms = self._window(HELD_WINDOW_S)
        return Beside(alone_ms=alone_ms, beside_ms=beside_ms, arrived=len(self._receiver.arrivals["/" + path]))

    @contextmanager
    def _ten(self, name: str) -> Iterator[None]:
        """Ten healthy subscriptions and the records for them."""
        topics = {f"healthy-{name}-{n}": 1 for n in range(HEALTHY)}
        create_topics(self._rig.kafka.address, topics)
        ids = [self._rig.subscribe(self._receiver.url(f"healthy/{t}"), t, start="latest") for t in topics]
        with Trickle(self._rig.kafka.address, topics, HEALTHY_PER_S * HEALTHY):
            self._until_all_arrive([f"/healthy/{topic}" for topic in topics])
            time.sleep(SETTLE_S)
            yield
        for id_ in ids:
            self._rig.unsubscribe(id_)

    def _until_all_arrive(self, paths: Sequence[str]) -> None:
        if not wait_until(lambda: all(path in self._receiver.arrivals for path in paths), BEGUN_WITHIN_S):
            raise TimeoutError("not all healthy subscriptions get their records")

    def _until_half_is_refused(self) -> None:
        if not wait_until(lambda: len(self._receiver.refused) == HELD_PARTITIONS // 2, BEGUN_WITHIN_S):
            raise TimeoutError(f"only {len(self._receiver.refused)} lanes were refused")
        self._receiver.refused.clear()

    def _window(self, for_s: float) -> float:
        self._receiver.take_latencies_ms()
        time.sleep(for_s)
        late = sorted(self._receiver.take_latencies_ms())
        if not late:
            raise TimeoutError("nothing arrived at the healthy endpoints")
        return late[int(len(late) * 0.99)]
