"""Kafka clusters for tests: the real one and librdkafka's mock, with topics of a test's own."""

import logging
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Event
from typing import Self

from confluent_kafka import Message, Producer
from confluent_kafka.cimpl import NewTopic

from tests.harness.kafka_admin import admin_of
from tests.harness.services import required_service
from webhookd import clock
from webhookd.edges.kafka_connection import KafkaConnection
from webhookd.edges.kafka_consumer import ConsumerCallbacks, GroupConsumer
from webhookd.flow.offsets.position import OffsetAndMetadata, Partition

_log = logging.getLogger("librdkafka")

PATIENCE_S = 30.0
POLL_INTERVAL_S = 0.01


class Cluster:
    """A cluster to produce to; `create` creates a topic with a unique name."""

    def __init__(self, bootstrap_servers: str, *, real: bool) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.connection = KafkaConnection(bootstrap_servers)
        self.real = real
        self._producer = Producer({"bootstrap.servers": bootstrap_servers, "linger.ms": 0}, logger=_log)

    def transact(self, topic: str, count: int, *, commit: bool) -> None:
        """Produce `count` records in a transaction, and commit or abort it before this returns."""
        with self.transaction(topic, count) as producer:
            (producer.commit_transaction if commit else producer.abort_transaction)(PATIENCE_S)

    @contextmanager
    def transaction(self, topic: str, count: int) -> Iterator[Producer]:
        """An open transaction with `count` records in the log; the body must end it."""
        settings = {"bootstrap.servers": self.bootstrap_servers, "transactional.id": uuid.uuid4().hex}
        producer = Producer(settings, logger=_log)
        producer.init_transactions(PATIENCE_S)
        producer.begin_transaction()
        for _ in range(count):
            producer.produce(topic, b"{}", partition=0)
        assert producer.flush(PATIENCE_S) == 0
        yield producer

    def create(self, partitions: int = 1) -> str:
        """Create a topic. The mock creates its topics on first use, with four partitions."""
        topic = f"test-{uuid.uuid4().hex}"
        if self.real:
            admin = admin_of(self.bootstrap_servers)
            admin.create_topics([NewTopic(topic, num_partitions=partitions)])[topic].result(PATIENCE_S)
        return topic

    def produce(self, topic: str, count: int, partition: int = 0) -> None:
        """Produce `count` records; all are acknowledged before this returns."""
        for number in range(count):
            self._producer.produce(topic, b'{"n":%d}' % number, partition=partition)
        assert self._producer.flush(PATIENCE_S) == 0


@contextmanager
def open_cluster(kind: str) -> Iterator[Cluster]:
    """The `real` cluster of the test run, or a `mock` cluster that runs as long as the context."""
    if kind == "real":
        yield Cluster(required_service("kafka"), real=True)
        return
    host = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "unused"})
    (broker,) = host.list_topics(timeout=PATIENCE_S).brokers.values()
    yield Cluster(f"{broker.host}:{broker.port}", real=False)


class Member:
    """A group member that records all callbacks; a partition without a position starts at `begin`."""

    def __init__(
        self, kafka: KafkaConnection, group: str, topics: Sequence[str], protocol: str, begin: int | None = 0
    ) -> None:
        self.assigned: list[Partition] = []
        self.revoked: list[Partition] = []
        self.without_position: list[Partition] = []
        self.committed: list[Partition] = []
        self.failed_commits: list[tuple[Partition, str]] = []
        self.failed: list[tuple[Partition, str]] = []
        self.messages: list[Message] = []
        self.ends: list[tuple[Partition, int]] = []
        self.group = group
        self._begin = begin
        self._closed = False
        listener = ConsumerCallbacks(
            assigned=self.assigned.extend,
            revoked=self.revoked.extend,
            lost=self.revoked.extend,
            position_required=self.without_position.append,
            end_reached=lambda partition, offset: self.ends.append((partition, offset)),
            committed=self.committed.extend,
            commit_failed=lambda partitions, code, _text: self.failed_commits.extend((p, code) for p in partitions),
            failed=lambda place, code, _text: self.failed.append((place, code)),
        )
        self.consumer = GroupConsumer(kafka, group, topics, protocol, listener)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._closed:
            self.consumer.close({})

    def close(self, offsets: dict[Partition, OffsetAndMetadata]) -> None:
        """Leave the group after a last commit."""
        self._closed = True
        self.consumer.close(offsets)

    @property
    def offsets(self) -> list[int]:
        """The offsets of all records, in the order of their arrival."""
        return [message.offset() or 0 for message in self.messages]

    def poll_once(self) -> None:
        """Poll once, and seek in each partition without a position."""
        told = len(self.without_position)
        self.messages += self.consumer.poll()
        for partition in self.without_position[told:]:
            if self._begin is not None:
                self.consumer.seek({partition: self._begin})

    def until(self, condition: Callable[[], bool], *others: "Member") -> None:
        """Poll, together with other members, until the condition is true."""
        deadline, pause = clock.monotonic() + PATIENCE_S, Event()
        while not condition():
            assert clock.monotonic() < deadline, "it did not become true in time"
            for member in (self, *others):
                member.poll_once()
            pause.wait(POLL_INTERVAL_S)

    def until_read(self, count: int) -> None:
        """Poll until it has read this many records."""
        self.until(lambda: len(self.messages) >= count)

    def poll_for(self, seconds: float) -> None:
        """Poll for a while, to check that something does not happen."""
        deadline, pause = clock.monotonic() + seconds, Event()
        while clock.monotonic() < deadline:
            self.poll_once()
            pause.wait(POLL_INTERVAL_S)
