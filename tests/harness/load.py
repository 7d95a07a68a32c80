"""A steady load of numbered records. Only records that Kafka has acknowledged count."""

import contextlib
import json
import random
import threading
import time
from collections.abc import Callable, Mapping
from itertools import count
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer

TICK_S = 0.02
FLUSH_S = 120.0
SPARSE_EVERY = 40
"""The filter `sparse` keeps one record in this many."""

NO_SETTINGS: Mapping[str, str] = {}
NUMBERS = count()
"""One sequence for all loads of a session: a number identifies a record in all topics."""


class Sent(NamedTuple):
    """A record that Kafka has acknowledged at `at` (monotonic). The offset is None when Kafka did not return it."""

    topic: str
    incarnation: int
    partition: int
    offset: int | None
    at: float


Values = Callable[[int, int], bytes]
"""The value of a record, by its number and the incarnation of its topic."""


def numbered(number: int, incarnation: int) -> bytes:
    """An object of some 200 bytes, with two fields for filters."""
    value = {
        "n": number,
        "incarnation": incarnation,
        "half": number % 2 == 0,
        "sparse": number % SPARSE_EVERY == 0,
        "pad": "x" * 100,
    }
    return json.dumps(value).encode()


class Load:
    """Produces to one topic from `start` to `stop`, at `per_s` records a second over its partitions.

    With `acks=all` and idempotence Kafka has each record once, even when brokers are killed meanwhile.
    """

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        *,
        per_s: float,
        partitions: int,
        seed: str,
        incarnation: int = 1,
        values: Values = numbered,
        settings: Mapping[str, str] = NO_SETTINGS,
    ) -> None:
        self.topic = topic
        self.incarnation = incarnation
        self.partitions = partitions
        self.sent: dict[int, Sent] = {}
        self.began_at = 0.0
        self._made_up: dict[int, int] = {}
        self._per_s = per_s
        self._values = values
        self._chance = random.Random(seed)  # noqa: S311  # seeded on purpose
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": 5,
                "delivery.timeout.ms": 300_000,
                "topic.metadata.refresh.interval.ms": 1000,
                "reconnect.backoff.max.ms": 1000,
                "log_level": 0,
                **settings,
            }
        )
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)

    def start(self) -> None:
        """Start to produce."""
        self.began_at = time.monotonic()
        self._thread.start()

    def stop(self) -> None:
        """Stop and wait until Kafka has acknowledged everything. Raises AssertionError when it does not."""
        if not self._stopping.is_set():
            self._stopping.set()
            self._thread.join(FLUSH_S)
            assert self._producer.flush(FLUSH_S) == 0, "Kafka has not acknowledged the load"

    def grow(self, partitions: int) -> None:
        """Produce to this many partitions from now on; the topic must have them."""
        deadline = time.monotonic() + FLUSH_S
        while len(self._producer.list_topics(self.topic, timeout=5).topics[self.topic].partitions) < partitions:
            assert time.monotonic() < deadline, "the topic has not grown"
        self.partitions = partitions

    def _run(self) -> None:
        produced = 0
        while not self._stopping.wait(TICK_S):
            due = int((time.monotonic() - self.began_at) * self._per_s)
            while produced < due:
                with contextlib.suppress(KafkaException):  # this client's metadata does not have a new partition yet
                    self._produce()
                produced += 1
            self._producer.poll(0)

    def _produce(self) -> int:
        """Produce one record; returns its number."""
        number = next(NUMBERS)
        self._producer.produce(
            self.topic,
            self._values(number, self.incarnation),
            key=f"key-{number % 1000}",
            partition=self._chance.randrange(self.partitions),
            on_delivery=lambda error, message: self._delivered(number, error, message),
        )
        return number

    def _delivered(self, number: int, error: KafkaError | None, message: Message) -> None:
        partition = message.partition()
        if error is None and partition is not None:
            offset = self._told(partition, message.offset())
            self.sent[number] = Sent(self.topic, self.incarnation, partition, offset, time.monotonic())

    def _told(self, partition: int, offset: int | None) -> int | None:
        """The offset of an acknowledged record, None if unknown.

        For a batch that it already has, a broker returns no offset, and librdkafka counts up from -1.
        """
        if offset is None or offset == self._made_up.get(partition):
            self._made_up[partition] = 0 if offset is None else offset + 1
            return None
        self._made_up.pop(partition, None)
        return offset
