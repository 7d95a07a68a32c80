"""A timeline adds, kills and removes brokers under load. Oracles: Kafka's metadata and tool, what is read.

Real: all brokers, Kafka's tools, producer and consumer.
"""

import subprocess
import threading
import time
from collections.abc import Iterator
from itertools import count
from typing import Self

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from stack import kafka_jvm
from stack.errors import ChangeRefused
from stack.kafka import KafkaCluster, KafkaOptions
from stack.kafka_changes import KafkaChanges
from stack.service_group import ServiceGroup
from webhookd_load_test.cluster.cluster_actions import ClusterActions
from webhookd_load_test.cluster.timeline import Step
from webhookd_load_test.cluster.timeline_check import check
from webhookd_load_test.cluster.timeline_thread import Timeline
from webhookd_load_test.run_folder.facts import Event

pytestmark = pytest.mark.chaos

TOPIC = "orders"
PARTITIONS = 6
GROUP = "readers"
DEADLINE_S = 60.0
INTERVAL_S = 0.01

STEPS = [
    Step(at_s=0, do="add_broker"),
    Step(at_s=0.1, do="kill_broker", broker=2, for_s=0),
    Step(at_s=0.2, do="remove_broker"),
]


class Load:
    """A context: an idempotent producer that goes on to the end; `acknowledged` has the values by partition."""

    def __init__(self, address: str) -> None:
        self.acknowledged: dict[int, list[int]] = {}
        self._producer = Producer({"bootstrap.servers": address, "enable.idempotence": True, "log_level": 0})
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopping.set()
        self._thread.join()
        assert self._producer.flush(DEADLINE_S) == 0

    def _run(self) -> None:
        for number in count():
            value = str(number).encode()
            self._producer.produce(TOPIC, value, partition=number % PARTITIONS, on_delivery=self._delivered)
            self._producer.poll(0)
            if self._stopping.wait(INTERVAL_S):
                return

    def _delivered(self, error: object, message: Message) -> None:
        assert error is None
        partition, value = message.partition(), message.value()
        assert partition is not None
        assert isinstance(value, bytes)
        self.acknowledged.setdefault(partition, []).append(int(value))


@pytest.fixture
def kafka() -> Iterator[KafkaCluster]:
    with ServiceGroup() as services:
        started = services.start_kafka(KafkaOptions(brokers=3))
        services.wait_ready()
        yield started


def test_nothing_is_lost_while_brokers_come_and_go(kafka: KafkaCluster) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.address, "log_level": 0})
    admin.create_topics([NewTopic(TOPIC, PARTITIONS, 3)])[TOPIC].result()
    changes = KafkaChanges(kafka)
    led: list[set[int]] = []
    replicas: list[set[int]] = []

    def look(_event: Event) -> None:
        if not led:  # Kafka makes the topic of offsets now, with replicas on the new broker
            commit(kafka.address, 1)
        topics = admin.list_topics(timeout=DEADLINE_S).topics
        led.append({one.leader for one in topics[TOPIC].partitions.values()})
        replicas.append({id_ for topic in topics.values() for one in topic.partitions.values() for id_ in one.replicas})

    check(STEPS, brokers=3)
    timeline = Timeline(STEPS, ClusterActions(changes), tell=look)
    with Load(kafka.address) as load:
        timeline.begin(time.time_ns())
        timeline.finish()
        assert [event.text.split(";")[0] for event in timeline.events] == [
            "broker 4 added",
            "broker 2 killed",
            "broker 2 runs again, in sync",
            "broker 4 drained and removed",
        ]
        assert 4 in led[0]
        assert led[1] == {1, 3, 4}
        assert replicas[0] == {1, 2, 3, 4}
        assert replicas[-1] == {1, 2, 3}
    assert registered(kafka) == {1, 2, 3}
    assert read_all(kafka.address, {number: len(values) for number, values in load.acknowledged.items()}) == (
        load.acknowledged
    )
    assert committed(kafka.address) == 1
    with pytest.raises(ChangeRefused, match="broker 1 cannot be removed: it holds the quorum"):
        changes.remove_broker(1)


def commit(address: str, offset: int) -> None:
    with group(address) as consumer:
        consumer.commit(offsets=[TopicPartition(TOPIC, 0, offset)], asynchronous=False)


def committed(address: str) -> int:
    with group(address) as consumer:
        [known] = consumer.committed([TopicPartition(TOPIC, 0)], timeout=DEADLINE_S)
        return known.offset


def group(address: str) -> Consumer:
    return Consumer({"bootstrap.servers": address, "group.id": GROUP, "enable.auto.commit": False, "log_level": 0})


def read_all(address: str, lengths: dict[int, int]) -> dict[int, list[int]]:
    """The values of each partition, in their order, up to as many as were acknowledged."""
    read: dict[int, list[int]] = {number: [] for number in lengths}
    deadline = time.monotonic() + DEADLINE_S
    with group(address) as consumer:
        consumer.assign([TopicPartition(TOPIC, number, 0) for number in lengths])
        while any(len(read[number]) < length for number, length in lengths.items()):
            assert time.monotonic() < deadline, "records are missing"
            for message in consumer.consume(500, timeout=1.0):
                assert message.error() is None
                read[message.partition() or 0].append(int(message.value() or b""))
    return read


def registered(kafka: KafkaCluster) -> set[int]:
    """The ids of the registered brokers, running or not, as Kafka's own tool prints them."""
    arguments = ("list-endpoints", "--bootstrap-server", kafka.address, "--include-fenced-brokers")
    tool = kafka_jvm.command("org.apache.kafka.tools.ClusterTool", *arguments)
    lines = subprocess.run(tool, capture_output=True, text=True, check=True, timeout=DEADLINE_S).stdout.splitlines()
    return {int(line.split()[0]) for line in lines[1:] if line.strip()}
