"""Contract of PartitionOffsets: on a real Kafka if there is one, on librdkafka's mock cluster, and of the fake."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.cimpl import NewPartitions

from tests.harness.clusters import PATIENCE_S, Cluster, open_cluster
from tests.harness.kafka_admin import admin_of
from tests.harness.pipeline import until
from webhookd.edges.kafka_connection import KafkaConnection
from webhookd.edges.partition_offsets import PartitionOffsets
from webhookd.flow.offsets.commit_metadata import CommitMetadata, encode
from webhookd.flow.offsets.position import OffsetAndMetadata, OffsetRange, Partition
from webhookd.testing.memory_partition_offsets import MemoryPartitionOffsets
from workers.ingest.ports import Offsets

COMMITTED = OffsetAndMetadata(
    6, CommitMetadata(topic_id="uuid", failed_attempts=2, worker_losses=1, failed_probes=3, failing_since=7.5)
)


@dataclass(frozen=True)
class Setting:
    """The implementation, a topic of four partitions with ten records in the first, and how a group commits."""

    offsets: Offsets
    topic: str
    commit: Callable[[str, Partition, OffsetAndMetadata], None]

    def partition(self, number: int) -> Partition:
        return Partition(self.topic, number)


def await_leaders(cluster: Cluster, topic: str, count: int) -> None:
    """Wait until the leader of each partition answers: brokers learn one after another of a new topic."""
    offsets, partitions = (
        PartitionOffsets(KafkaConnection(cluster.bootstrap_servers)),
        [Partition(topic, n) for n in range(count)],
    )
    until(lambda: len(offsets.end_offsets(partitions, PATIENCE_S)) == count, "all partitions have leaders")


def real(cluster: Cluster) -> Setting:
    topic = cluster.create(4)
    cluster.produce(topic, 10)
    await_leaders(cluster, topic, 4)

    def commit(group: str, partition: Partition, committed: OffsetAndMetadata) -> None:
        consumer = Consumer({"bootstrap.servers": cluster.bootstrap_servers, "group.id": group})
        place = TopicPartition(partition.topic, partition.number, committed.offset, encode(committed.metadata))
        consumer.commit(offsets=[place], asynchronous=False)
        consumer.close()

    return Setting(PartitionOffsets(KafkaConnection(cluster.bootstrap_servers)), topic, commit)


def in_memory() -> Setting:
    topic = f"test-{uuid.uuid4().hex}"
    fake = MemoryPartitionOffsets()
    fake.ranges = {Partition(topic, n): OffsetRange(first=0, end=0 if n else 10) for n in range(4)}
    return Setting(
        fake,
        topic,
        lambda group, partition, committed: fake.commits.setdefault(group, {}).update({partition: committed}),
    )


@pytest.fixture(params=["memory", "mock", pytest.param("real", marks=pytest.mark.kafka)], scope="module")
def setting(request: pytest.FixtureRequest) -> Iterator[Setting]:
    if request.param == "memory":
        yield in_memory()
        return
    with open_cluster(request.param) as cluster:
        yield real(cluster)


def test_offset_ranges_of_many_partitions_come_from_one_call(setting: Setting) -> None:
    partitions = [setting.partition(number) for number in range(4)]
    found = setting.offsets.offset_ranges(partitions, PATIENCE_S)
    assert found == {place: OffsetRange(first=0, end=0 if place.number else 10) for place in partitions}


def test_end_offsets_of_many_partitions_come_from_one_call(setting: Setting) -> None:
    partitions = [setting.partition(number) for number in range(4)]
    assert setting.offsets.end_offsets(partitions, PATIENCE_S) == {
        place: 0 if place.number else 10 for place in partitions
    }


def test_partition_that_does_not_exist_delays_no_other(setting: Setting) -> None:
    there, missing = setting.partition(0), setting.partition(99)
    assert setting.offsets.offset_ranges([there, missing], PATIENCE_S) == {there: OffsetRange(first=0, end=10)}
    assert setting.offsets.end_offsets([there, missing], PATIENCE_S) == {there: 10}


def test_committed_offsets_come_with_their_metadata(setting: Setting) -> None:
    group, first, second = f"test-{uuid.uuid4().hex}", setting.partition(0), setting.partition(1)
    setting.commit(group, first, COMMITTED)
    assert setting.offsets.committed(group, [first, second], PATIENCE_S) == {first: COMMITTED, second: None}


def test_no_partitions_need_no_request(setting: Setting) -> None:
    assert (setting.offsets.committed("test-none", [], PATIENCE_S), setting.offsets.end_offsets([], PATIENCE_S)) == (
        {},
        {},
    )
    assert setting.offsets.offset_ranges([], PATIENCE_S) == {}


def test_unreachable_brokers_leave_everything_out() -> None:
    down = PartitionOffsets(KafkaConnection("127.0.0.1:1"))
    somewhere = Partition("test", 0)
    assert (down.offset_ranges([somewhere], 0.2), down.end_offsets([somewhere], 0.2)) == ({}, {})
    with pytest.raises(KafkaException):
        down.committed("test", [somewhere], 0.2)


@pytest.mark.kafka
def test_partition_that_was_added_is_found() -> None:
    with open_cluster("real") as cluster:
        topic = cluster.create(1)
        await_leaders(cluster, topic, 1)
        offsets = PartitionOffsets(KafkaConnection(cluster.bootstrap_servers))
        before = offsets.end_offsets([Partition(topic, 0)], PATIENCE_S)
        admin_of(cluster.bootstrap_servers).create_partitions([NewPartitions(topic, 2)])[topic].result(PATIENCE_S)
        until(
            lambda: offsets.end_offsets([Partition(topic, 1)], PATIENCE_S) == {Partition(topic, 1): 0},
            "the new partition is found",
        )
    assert before == {Partition(topic, 0): 0}
