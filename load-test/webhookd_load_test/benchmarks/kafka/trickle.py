"""Produces records steadily, so many a second."""

import random
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from confluent_kafka import Producer

from webhookd_load_test.benchmarks.kafka.benchmark_record import record

FLUSH_TIMEOUT_S = 120.0
TICK_S = 0.002
"""How often a trickle produces what is due; a record is at most this late."""


class Trickle:
    """A context that produces `per_s` records a second to all partitions of the topics in turn.

    With `linger_ms` records share requests to the broker, as with most producers. `value_of` makes the record of a
    number, produced at a time in nanoseconds.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        partitions: Mapping[str, int],
        per_s: float,
        *,
        linger_ms: float = 0.0,
        value_of: Callable[[int, int], bytes] = record,
    ) -> None:
        self.produced = 0
        self._producer = Producer({"bootstrap.servers": bootstrap_servers, "linger.ms": linger_ms})
        self._places = [(topic, number) for topic, count in partitions.items() for number in range(count)]
        random.Random(0).shuffle(self._places)  # noqa: S311 - an order, not a secret
        self._per_s = per_s
        self._value_of = value_of
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="trickle", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._producer.flush(FLUSH_TIMEOUT_S)

    def _run(self) -> None:
        began = time.monotonic()
        while not self._stop.wait(TICK_S):
            due = int((time.monotonic() - began) * self._per_s)
            for number in range(self.produced, due):
                topic, partition = self._places[number % len(self._places)]
                self._producer.produce(topic, self._value_of(number, time.time_ns()), partition=partition)
            self.produced = max(self.produced, due)
            self._producer.poll(0)
