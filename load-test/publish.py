"""Produces records to Kafka: a backlog at once, or a steady trickle."""

import random
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from types import TracebackType
from typing import Self

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from generate import record

TOPIC_TIMEOUT_S = 60.0
FLUSH_TIMEOUT_S = 120.0
TICK_S = 0.002
"""How often a trickle produces what is due; a record is at most this late."""


@cache
def _admin(bootstrap_servers: str) -> AdminClient:
    """Kept until the process ends: librdkafka 2.16 crashed when a client that had just created topics was destroyed."""
    return AdminClient({"bootstrap.servers": bootstrap_servers})


def create_topics(bootstrap_servers: str, partitions: Mapping[str, int]) -> None:
    """Create topics and wait until they exist."""
    client = _admin(bootstrap_servers)
    asked = client.create_topics([NewTopic(name, count) for name, count in partitions.items()], request_timeout=60)
    for future in asked.values():
        future.result(TOPIC_TIMEOUT_S)


def delete_topics(bootstrap_servers: str, names: Sequence[str]) -> None:
    """Delete topics."""
    client = _admin(bootstrap_servers)
    for future in client.delete_topics(list(names)).values():
        future.result(TOPIC_TIMEOUT_S)


def backlog(bootstrap_servers: str, topic: str, partitions: int, count: int) -> None:
    """Produce `count` records, spread evenly over the partitions; returns when the broker has all of them."""
    producer = Producer({"bootstrap.servers": bootstrap_servers, "linger.ms": 20, "batch.size": 1_000_000})
    for number in range(count // partitions):
        value = record(number)
        for partition in range(partitions):
            _produce(producer, topic, value, partition)
    if producer.flush(FLUSH_TIMEOUT_S):
        raise TimeoutError(f"not all of {topic} could be produced")


def _produce(producer: Producer, topic: str, value: bytes, partition: int) -> None:
    while True:
        try:
            producer.produce(topic, value, partition=partition)
        except BufferError:
            producer.poll(0.05)
        else:
            return


class Trickle:
    """A context that produces `per_s` records a second to all partitions of the topics in turn.

    With `linger_ms` records share requests to the broker, as with most producers.
    """

    def __init__(
        self, bootstrap_servers: str, partitions: Mapping[str, int], per_s: float, *, linger_ms: float = 0.0
    ) -> None:
        self.produced = 0
        self._producer = Producer({"bootstrap.servers": bootstrap_servers, "linger.ms": linger_ms})
        self._places = [(topic, number) for topic, count in partitions.items() for number in range(count)]
        random.Random(0).shuffle(self._places)
        self._per_s = per_s
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
                self._producer.produce(topic, record(number, time.time_ns()), partition=partition)
            self.produced = max(self.produced, due)
            self._producer.poll(0)
