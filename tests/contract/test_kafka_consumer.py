"""GroupConsumer on a real cluster with both group protocols, and on librdkafka's mock.

Oracle: the offsets of the records, and what another member of the group reads afterwards.
"""

import ctypes
import gc
import random
import uuid
from collections.abc import Callable, Iterator
from threading import Event

import pytest
from confluent_kafka import KafkaException

from tests.harness.clusters import PATIENCE_S, Cluster, Member, open_cluster
from webhookd.edges.kafka_connection import KafkaConnection
from webhookd.edges.partition_offsets import PartitionOffsets
from webhookd.flow.offsets.commit_metadata import CommitMetadata
from webhookd.flow.offsets.position import OffsetAndMetadata, Partition

QUIET_S = 0.6
"""Longer than a fetch waits at the broker."""

Join = Callable[..., Member]


REAL = [
    pytest.param(("real", "consumer"), marks=pytest.mark.kafka, id="real-consumer"),
    pytest.param(("real", "classic"), marks=pytest.mark.kafka, id="real-classic"),
]
MOCK = pytest.param(("mock", "classic"), id="mock-classic")

on_real = pytest.mark.parametrize("kind", REAL, indirect=True, scope="module")
"""For tests of what the embedded default does not need: on the mock an assignment takes 3 s, a leave 10 s."""


@pytest.fixture(params=[*REAL, MOCK], scope="module")
def kind(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Which cluster, and which group protocol."""
    cluster, protocol = request.param
    return cluster, protocol


@pytest.fixture(scope="module")
def cluster(kind: tuple[str, str]) -> Iterator[Cluster]:
    """The cluster."""
    with open_cluster(kind[0]) as opened:
        yield opened


@pytest.fixture
def topic(cluster: Cluster) -> str:
    """A topic with ten records in its first partition."""
    made = cluster.create()
    cluster.produce(made, 10)
    return made


@pytest.fixture
def join(cluster: Cluster, kind: tuple[str, str], topic: str) -> Iterator[Join]:
    """Creates members of one group, which leave at the end."""
    group, members = f"test-{uuid.uuid4().hex}", []

    def joined(topics: list[str] | None = None, begin: int | None = 0) -> Member:
        members.append(Member(cluster.connection, group, topics or [topic], kind[1], begin))
        return members[-1]

    yield joined
    for member in members:
        with member:
            pass


COMMITTED = OffsetAndMetadata(
    6, CommitMetadata(topic_id="uuid", failed_attempts=2, worker_losses=1, failed_probes=3, failing_since=7.5)
)


def test_missing_position_is_reported_and_read_from_after_a_seek(join: Join, topic: str) -> None:
    member = join(begin=None)
    first = Partition(topic, 0)
    member.until(lambda: first in member.without_position)
    assert (first in member.assigned, member.messages) == (True, [])
    member.consumer.seek({first: 4})
    member.until_read(6)
    assert member.offsets == [4, 5, 6, 7, 8, 9]


def test_seek_leaves_no_gap_and_nothing_stale(cluster: Cluster, join: Join, topic: str) -> None:
    cluster.produce(topic, 3000)
    member, chance = join(), random.Random(7)  # noqa: S311  # seeded on purpose
    member.until_read(1)
    for _ in range(8):
        offset, count = chance.randrange(2900), chance.choice((1, 100))
        member.messages.clear()
        member.consumer.seek({Partition(topic, 0): offset})
        member.until_read(count)
        assert member.offsets == list(range(offset, offset + len(member.messages)))


def test_pause_outlives_a_seek(join: Join, topic: str) -> None:
    first, member = Partition(topic, 0), join()
    member.until_read(10)
    member.consumer.pause(first)
    member.messages.clear()
    member.consumer.seek({first: 4})
    member.poll_for(QUIET_S)
    assert member.offsets == []
    member.consumer.resume(first)
    member.until_read(6)
    assert member.offsets == [4, 5, 6, 7, 8, 9]


@on_real
def test_many_partitions_seek_in_one_call(cluster: Cluster, join: Join) -> None:
    topic = cluster.create(4)
    for number in range(4):
        cluster.produce(topic, 3, number)
    member = join([topic])
    member.until_read(12)
    member.messages.clear()
    member.consumer.seek({Partition(topic, number): 1 for number in range(4)})
    member.until_read(8)
    assert sorted(member.offsets) == [1] * 4 + [2] * 4


@on_real
def test_seek_of_a_partition_that_is_not_assigned_moves_none(cluster: Cluster, join: Join, topic: str) -> None:
    member = join()
    member.until_read(10)
    with pytest.raises(KafkaException):
        member.consumer.seek({Partition(topic, 0): 3, Partition(topic, 99): 0})
    cluster.produce(topic, 1)
    member.until_read(11)
    assert member.offsets == list(range(11))


@on_real
def test_paused_partition_stays_where_it_is(cluster: Cluster, join: Join, topic: str) -> None:
    member, first = join(), Partition(topic, 0)
    member.until_read(10)
    member.consumer.pause(first)
    cluster.produce(topic, 5)
    member.poll_for(QUIET_S)
    assert len(member.messages) == 10
    member.consumer.resume(first)
    member.until_read(15)
    assert member.offsets == list(range(15))


@on_real
def test_partition_can_stay_paused_after_a_seek(join: Join, topic: str) -> None:
    member, first = join(), Partition(topic, 0)
    member.until_read(10)
    member.messages.clear()
    member.consumer.pause(first)
    member.consumer.seek({first: 3})
    member.consumer.pause(first)
    member.poll_for(QUIET_S)
    assert member.messages == []
    member.consumer.resume(first)
    member.until_read(7)
    assert member.offsets == list(range(3, 10))


def test_next_member_resumes_after_a_commit(cluster: Cluster, join: Join, topic: str) -> None:
    member, first, offsets = join(), Partition(topic, 0), PartitionOffsets(KafkaConnection(cluster.bootstrap_servers))
    member.until_read(10)
    member.consumer.commit({first: COMMITTED})
    member.until(lambda: offsets.committed(member.group, [first], PATIENCE_S) == {first: COMMITTED})
    member.close({})
    another = join()
    another.until_read(4)
    assert (another.offsets, first in another.without_position) == ([6, 7, 8, 9], False)


@on_real
def test_result_of_each_commit_is_reported(join: Join, topic: str) -> None:
    member, first = join(), Partition(topic, 0)
    member.until_read(10)
    member.consumer.commit({first: COMMITTED})
    member.until(lambda: member.committed == [first])
    member.consumer.commit(
        {first: OffsetAndMetadata(7, CommitMetadata(topic_id="x" * 5000))}
    )  # more metadata than Kafka stores with an offset
    member.until(lambda: member.failed_commits == [(first, "offset_metadata_too_large")])
    assert member.committed == [first]


def test_closing_commits(join: Join, topic: str) -> None:
    member, first = join(), Partition(topic, 0)
    member.until_read(10)
    member.close({first: OffsetAndMetadata(8)})
    another = join()
    another.until_read(2)
    assert another.offsets == [8, 9]


@on_real
def test_position_beyond_the_end_is_reported(join: Join, topic: str) -> None:
    member, first = join(), Partition(topic, 0)
    member.until_read(10)
    member.close({first: OffsetAndMetadata(1000)})
    another = join(begin=None)
    another.until(lambda: first in another.without_position)
    assert another.messages == []


@on_real
def test_second_member_takes_over_some_partitions(cluster: Cluster, join: Join) -> None:
    topic = cluster.create(4)
    for partition in range(4):
        cluster.produce(topic, 1, partition)
    member = join([topic])
    member.until_read(4)
    another = join([topic])
    another.until(lambda: len(another.assigned) == 2, member)
    assert sorted(member.revoked) == sorted(another.assigned)
    assert len(set(member.revoked)) == 2


@on_real
def test_last_member_is_revoked_when_it_leaves(join: Join, topic: str) -> None:
    member = join()
    member.until_read(10)
    member.close({})
    assert Partition(topic, 0) in member.revoked


@on_real
def test_partition_that_comes_back_is_not_paused(cluster: Cluster, join: Join) -> None:
    topic = cluster.create(2)
    member = join([topic])
    member.until(lambda: len(member.assigned) == 2)
    for partition in list(member.assigned):
        member.consumer.pause(partition)
    another = join([topic])
    another.until(lambda: len(another.assigned) == 1, member)
    (moved,) = another.assigned
    another.close({})
    member.until(lambda: member.assigned[2:] == [moved])
    cluster.produce(topic, 3, moved.number)
    member.until_read(3)


def test_end_of_a_partition_is_reported_after_its_records(join: Join, topic: str) -> None:
    member, first = join(), Partition(topic, 0)
    member.until(lambda: (first, 10) in member.ends)
    assert member.offsets == list(range(10))


@on_real
def test_end_of_an_empty_partition_is_reported(cluster: Cluster, join: Join) -> None:
    topic = cluster.create(1)
    member = join([topic])
    member.until(lambda: member.ends == [(Partition(topic, 0), 0)])


@on_real
def test_end_includes_offsets_that_no_consumer_sees(cluster: Cluster, join: Join) -> None:
    topic = cluster.create(1)
    cluster.transact(topic, 10, commit=True)
    cluster.transact(topic, 50, commit=False)
    member, first = join([topic]), Partition(topic, 0)
    member.until(lambda: (first, 62) in member.ends)
    assert (member.offsets, member.consumer.end_offset(first)) == (list(range(10)), 62)
    cluster.transact(topic, 1, commit=True)
    member.until(lambda: (first, 64) in member.ends)


@on_real
def test_end_is_where_an_open_transaction_began(cluster: Cluster, join: Join, topic: str) -> None:
    member, first = join(), Partition(topic, 0)
    with cluster.transaction(topic, 3) as producer:
        member.until(lambda: (first, 10) in member.ends)
        seen = len(member.messages)
        end = PartitionOffsets(KafkaConnection(cluster.bootstrap_servers)).end_offsets([first], PATIENCE_S)[first]
        producer.commit_transaction(PATIENCE_S)
    member.until(lambda: (first, 14) in member.ends)
    assert (seen, end, len(member.messages)) == (10, 10, 13)


@on_real
@pytest.mark.parametrize("pauses", [False, True])
def test_end_from_before_a_seek_is_not_reported_after_it(join: Join, topic: str, pauses: bool) -> None:
    member, first = join(), Partition(topic, 0)
    member.until(lambda: (first, 10) in member.ends)
    for offset in (2, 7, 4):
        member.consumer.seek({first: 9})
        Event().wait(QUIET_S)  # now the record and the end after it are in the consumer's queue
        if pauses:
            member.consumer.pause(first)
        member.messages.clear()
        member.ends.clear()
        member.consumer.seek({first: offset})
        if pauses:
            member.consumer.resume(first)
        member.until(lambda: bool(member.ends))
        assert (member.offsets, member.ends) == (list(range(offset, 10)), [(first, 10)])


@on_real
def test_end_is_reported_again_after_a_pause(cluster: Cluster, join: Join, topic: str) -> None:
    member, first = join(), Partition(topic, 0)
    member.until(lambda: (first, 10) in member.ends)
    member.consumer.pause(first)
    cluster.transact(topic, 5, commit=False)
    member.poll_for(QUIET_S)
    member.consumer.resume(first)
    member.until(lambda: (first, 16) in member.ends)


@on_real
def test_successful_commit_is_reported(join: Join, topic: str) -> None:
    member, first = join(), Partition(topic, 0)
    member.until_read(10)
    member.consumer.commit({first: COMMITTED})
    member.until(lambda: member.committed == [first])
    assert member.failed_commits == []


def test_closed_consumer_gives_its_key_back() -> None:
    nobody = KafkaConnection("127.0.0.1:1")
    Member(nobody, "first", ["orders"], "classic").close({})  # librdkafka takes keys of its own with the first one
    member = Member(nobody, "second", ["orders"], "classic")
    before = free_keys()
    gc.disable()  # it would free the consumer too, some day
    try:
        member.close({})
        assert free_keys() == before + 1
    finally:
        gc.enable()


def free_keys() -> int:
    """How many thread-specific data keys this process can still make; each Kafka client has one."""
    library, made = ctypes.CDLL(None), list[int]()
    key = ctypes.c_uint()
    while library.pthread_key_create(ctypes.byref(key), None) == 0:
        made.append(key.value)
    for one in made:
        library.pthread_key_delete(ctypes.c_uint(one))
    return len(made)
