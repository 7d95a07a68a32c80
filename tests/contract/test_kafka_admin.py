"""Contract of KafkaAdmin: on a real Kafka if there is one, on librdkafka's mock cluster, and of the fake in memory."""

import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import pytest
from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]  # documented, but not in __all__
from confluent_kafka.cimpl import NewTopic

from api.ports import Brokers
from tests.harness.kafka_admin import admin_of
from tests.harness.pipeline import until
from tests.harness.services import required_service
from webhookd import clock
from webhookd.edges.kafka_admin import KafkaAdmin
from webhookd.edges.kafka_connection import KafkaConnection
from webhookd.errors import Conflict, KafkaUnavailable
from webhookd.flow.offsets.position import Committed, Partition
from webhookd.flow.offsets.topic_metadata import TopicRules, TopicSample
from webhookd.testing.memory_kafka_admin import MemoryKafkaAdmin

TIMEOUT_S = 20.0

COORDINATOR_STARTS = {
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
}


class Admin(Brokers, Protocol):
    """What the API uses, and what ingest uses besides."""

    def commits(self, group: str, topics: Sequence[str], timeout_s: float) -> dict[Partition, Committed]:
        """What the group has committed in these topics."""

    def topic_rules(self, topic: str, timeout_s: float) -> TopicRules:
        """The rules for writing to a topic."""

    def samples(self, group: str, topics: Sequence[str], count: int, timeout_s: float) -> dict[str, TopicSample]:
        """Whether each topic exists, and its last records."""

    def recommit(self, group: str, commits: Mapping[Partition, Committed], timeout_s: float) -> None:
        """Commit these offsets again with their metadata."""

    def join_briefly(self, group: str, topics: Sequence[str], protocol: str, timeout_s: float) -> None:
        """Join the group and leave it at once."""

    def delete_group(self, group: str, timeout_s: float) -> None:
        """Delete a group. Raises Conflict when it has members."""


class Cluster(Protocol):
    """What the suite needs: the admin under test, topics with records, and committed offsets as an oracle."""

    brokers: Admin

    def produce(self, topic: str, records: int) -> None:
        """Append records to partition 0."""

    def committed(self, group: str, topic: str) -> int | None:
        """What the group has committed for partition 0."""


@dataclass
class Broker:
    """A cluster with Kafka's protocol: real or mock."""

    servers: str
    creates: bool = True
    """Whether topics must be created; the mock cluster creates them on first use."""

    def __post_init__(self) -> None:
        self.brokers: Admin = KafkaAdmin(KafkaConnection(self.servers))

    def produce(self, topic: str, records: int) -> None:
        if self.creates:
            admin = admin_of(self.servers)
            admin.create_topics([NewTopic(topic, 4, 1)])[topic].result(TIMEOUT_S)
        producer = Producer({"bootstrap.servers": self.servers, "linger.ms": 0})
        for _ in range(records):
            producer.produce(topic, b"{}", partition=0)
        assert producer.flush(TIMEOUT_S) == 0

    def committed(self, group: str, topic: str) -> int | None:
        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": group, "allow.auto.create.topics": False})
        read: list[TopicPartition] = []

        def answered() -> bool:
            """A coordinator that Kafka has just elected refuses requests until it has loaded its partition."""
            try:
                read[:] = consumer.committed([TopicPartition(topic, 0)], timeout=TIMEOUT_S)
            except KafkaException as error:
                if error.args[0].code() not in COORDINATOR_STARTS:
                    raise
            return bool(read)

        until(answered, "the group's coordinator answers", TIMEOUT_S)
        consumer.close()
        return read[0].offset if read[0].offset >= 0 else None


class Memory:
    """The fake in memory."""

    def __init__(self) -> None:
        self.fake = MemoryKafkaAdmin()
        self.brokers: Admin = self.fake

    def produce(self, topic: str, records: int) -> None:
        self.fake.ends.setdefault(topic, {0: 0})[0] += records
        self.fake.records.setdefault(topic, []).extend([b"{}"] * records)

    def committed(self, group: str, topic: str) -> int | None:
        return self.fake.committed.get(group, {}).get(topic, {}).get(0)


@pytest.fixture(scope="module")
def mock_cluster() -> Iterator[str]:
    """Librdkafka's mock cluster, which runs as long as this producer exists."""
    owner = Producer({"bootstrap.servers": "unused", "test.mock.num.brokers": 1, "log_level": 2})
    brokers = owner.list_topics(timeout=TIMEOUT_S).brokers.values()
    yield ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
    owner.flush(0)


@pytest.fixture(params=["memory", "mock", pytest.param("kafka", marks=pytest.mark.kafka)])
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """Each implementation of the admin."""
    match request.param:
        case "memory":
            return Memory()
        case "mock":
            return Broker(request.getfixturevalue("mock_cluster"), creates=False)
        case _:
            return Broker(required_service("kafka"))


@pytest.fixture
def topic() -> str:
    return f"orders-{uuid.uuid4().hex}"


@pytest.fixture
def group() -> str:
    return f"webhooks-{uuid.uuid4()}"


def test_a_topic_ends_after_its_last_record(cluster: Cluster, topic: str) -> None:
    cluster.produce(topic, 3)
    ends = cluster.brokers.end_offsets([topic], TIMEOUT_S)
    assert ends[topic][0] == 3


def test_every_topic_asked_for_is_answered(cluster: Cluster, topic: str) -> None:
    cluster.produce(topic, 1)
    ends = cluster.brokers.end_offsets([topic, f"{topic}-2"], TIMEOUT_S)
    assert (ends[topic][0], ends[f"{topic}-2"]) == (1, {})


def test_asking_for_a_topic_does_not_create_it(cluster: Cluster, topic: str) -> None:
    first = cluster.brokers.end_offsets([topic], TIMEOUT_S)
    assert (first, cluster.brokers.end_offsets([topic], TIMEOUT_S)) == ({topic: {}}, {topic: {}})


def test_a_new_group_begins_where_it_was_committed(cluster: Cluster, topic: str, group: str) -> None:
    cluster.produce(topic, 5)
    cluster.brokers.commit(group, {topic: {0: 4}}, TIMEOUT_S)
    assert cluster.committed(group, topic) == 4


def test_committing_nothing_needs_no_request(cluster: Cluster, group: str) -> None:
    cluster.brokers.commit(group, {}, 0.0)


def test_commits_come_back_with_their_metadata(cluster: Cluster, topic: str, group: str) -> None:
    cluster.produce(topic, 3)
    wanted = {Partition(topic, 0): Committed(offset=2, metadata='{"r":[3,\u00e9]}')}
    cluster.brokers.recommit(group, wanted, TIMEOUT_S)
    assert cluster.brokers.commits(group, [topic], TIMEOUT_S) == wanted
    cluster.brokers.recommit(group, cluster.brokers.commits(group, [topic], TIMEOUT_S), TIMEOUT_S)
    assert cluster.brokers.commits(group, [topic], TIMEOUT_S) == wanted


def test_commit_without_metadata_has_none(cluster: Cluster, topic: str, group: str) -> None:
    cluster.produce(topic, 1)
    cluster.brokers.commit(group, {topic: {0: 1}}, TIMEOUT_S)
    assert cluster.brokers.commits(group, [topic], TIMEOUT_S) == {Partition(topic, 0): Committed(offset=1)}


def test_group_that_never_committed_stays_so(cluster: Cluster, topic: str, group: str) -> None:
    cluster.produce(topic, 1)
    commits = cluster.brokers.commits(group, [topic, f"{topic}-gone"], TIMEOUT_S)
    cluster.brokers.recommit(group, commits, TIMEOUT_S)
    assert (commits, cluster.committed(group, topic)) == ({}, None)


def test_a_group_that_does_not_exist_can_be_deleted(cluster: Cluster, group: str) -> None:
    cluster.brokers.delete_group(group, TIMEOUT_S)


def test_a_cluster_that_answers_can_be_pinged(cluster: Cluster) -> None:
    cluster.brokers.ping(TIMEOUT_S)


def test_no_time_left_is_unavailable(cluster: Cluster, topic: str) -> None:
    with pytest.raises(KafkaUnavailable):
        cluster.brokers.end_offsets([topic], 0.0)


def test_sample_has_the_last_records_of_each_topic(cluster: Cluster, topic: str, group: str) -> None:
    cluster.produce(topic, 8)
    found = cluster.brokers.samples(group, [topic, f"{topic}-2"], 3, TIMEOUT_S)
    assert found[topic].exists
    assert found[topic].values == (b"{}",) * 3
    assert not found[f"{topic}-2"].exists
    assert cluster.committed(group, topic) is None


def test_sample_of_unreachable_brokers_is_unavailable() -> None:
    with pytest.raises(KafkaUnavailable):
        KafkaAdmin(KafkaConnection("127.0.0.1:1")).samples("webhooks-x", ["orders"], 3, 0.3)


@pytest.mark.kafka
def test_sample_needs_neither_members_nor_records(topic: str, group: str) -> None:
    cluster = Broker(required_service("kafka"))
    for name in (topic, f"{topic}-empty"):
        admin_of(cluster.servers).create_topics([NewTopic(name, 2, 1)])[name].result(TIMEOUT_S)
    producer = Producer({"bootstrap.servers": cluster.servers, "transactional.id": topic})
    producer.init_transactions(TIMEOUT_S)
    producer.begin_transaction()
    for value in (b"1", None):  # the marker of the transaction takes the last offset
        producer.produce(topic, value, partition=0)
    producer.commit_transaction(TIMEOUT_S)
    place = TopicPartition(topic, 0)

    def marker_is_written() -> bool:
        """Kafka writes the marker after the commit was answered; before, nothing of the transaction can be read."""
        stable = IsolationLevel.READ_COMMITTED
        found = admin_of(cluster.servers).list_offsets({place: OffsetSpec.latest()}, isolation_level=stable)
        return bool(found[place].result(TIMEOUT_S).offset == 3)

    until(marker_is_written, "the transaction's marker is in the partition", TIMEOUT_S)
    found = cluster.brokers.samples(group, [topic, f"{topic}-empty"], 50, TIMEOUT_S)
    assert set(found[topic].values or ()) == {b"1", None}
    assert found[f"{topic}-empty"].values == ()


@pytest.mark.kafka
def test_a_deleted_group_has_no_offsets(topic: str, group: str) -> None:
    cluster = Broker(required_service("kafka"))
    cluster.produce(topic, 1)
    cluster.brokers.commit(group, {topic: {0: 1}}, TIMEOUT_S)
    cluster.brokers.delete_group(group, TIMEOUT_S)
    assert cluster.committed(group, topic) is None


@pytest.mark.kafka
@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_group_with_members_refuses_commit_and_deletion(topic: str, group: str, protocol: str) -> None:
    cluster = Broker(required_service("kafka"))
    cluster.produce(topic, 1)
    member = Consumer(
        {
            "bootstrap.servers": cluster.servers,
            "group.id": group,
            "group.protocol": protocol,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    member.subscribe([topic])
    assert member.poll(TIMEOUT_S) is not None
    with pytest.raises(Conflict):
        cluster.brokers.commit(group, {topic: {0: 0}}, TIMEOUT_S)
    with pytest.raises(Conflict):
        cluster.brokers.delete_group(group, TIMEOUT_S)
    member.commit(offsets=[TopicPartition(topic, 0, 1, "text")], asynchronous=False)
    commits = cluster.brokers.commits(group, [topic], TIMEOUT_S)
    assert commits == {Partition(topic, 0): Committed(offset=1, metadata="text")}
    with pytest.raises(Conflict):
        cluster.brokers.recommit(group, commits, TIMEOUT_S)
    member.close()
    cluster.brokers.recommit(group, commits, TIMEOUT_S)
    assert cluster.brokers.commits(group, [topic], TIMEOUT_S) == commits


@pytest.mark.kafka
@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_joining_briefly_leaves_a_group_as_it_was(topic: str, group: str, protocol: str) -> None:
    cluster = Broker(required_service("kafka"))
    cluster.produce(topic, 3)
    wanted = {Partition(topic, 0): Committed(offset=2, metadata="text")}
    cluster.brokers.recommit(group, wanted, TIMEOUT_S)
    cluster.brokers.join_briefly(group, [topic], protocol, TIMEOUT_S)
    assert cluster.brokers.commits(group, [topic], TIMEOUT_S) == wanted
    cluster.brokers.recommit(group, wanted, TIMEOUT_S)  # possible only when the group has no members


@pytest.mark.kafka
def test_an_open_transaction_is_not_skipped(topic: str) -> None:
    cluster = Broker(required_service("kafka"))
    cluster.produce(topic, 1)
    producer = Producer({"bootstrap.servers": cluster.servers, "transactional.id": topic})
    producer.init_transactions(TIMEOUT_S)
    producer.begin_transaction()
    producer.produce(topic, b"{}", partition=0)
    assert producer.flush(TIMEOUT_S) == 0
    during = cluster.brokers.end_offsets([topic], TIMEOUT_S)[topic][0]
    producer.commit_transaction(TIMEOUT_S)
    assert during == 1


def test_unreachable_brokers_are_unavailable_in_time() -> None:
    offsets = KafkaAdmin(KafkaConnection("127.0.0.1:1"))
    before = clock.monotonic()
    for call in (offsets.ping, lambda timeout_s: offsets.end_offsets(["orders"], timeout_s)):
        with pytest.raises(KafkaUnavailable):
            call(0.3)
    with pytest.raises(KafkaUnavailable):
        offsets.commit("webhooks-x", {"orders": {0: 1}}, 0.3)
    assert clock.monotonic() - before < 5.0


def test_the_fake_refuses_groups_with_members() -> None:
    fake = MemoryKafkaAdmin()
    fake.groups_with_members.add("webhooks-x")
    with pytest.raises(Conflict):
        fake.commit("webhooks-x", {"orders": {0: 1}}, 1.0)
    with pytest.raises(Conflict):
        fake.delete_group("webhooks-x", 1.0)


def test_recreated_topic_has_another_uuid(topic: str) -> None:
    bootstrap = required_service("kafka")
    admin, offsets = admin_of(bootstrap), KafkaAdmin(KafkaConnection(bootstrap))
    described = []
    for _ in range(2):
        admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(TIMEOUT_S)
        described.append(_until_reported(offsets, topic))
        admin.delete_topics([topic])[topic].result(TIMEOUT_S)
        _until(lambda: offsets.topic_ids([topic], TIMEOUT_S) == {})
    assert len({*described, ""}) == 3


def test_mock_cluster_has_no_uuids(mock_cluster: str, topic: str) -> None:
    assert KafkaAdmin(KafkaConnection(mock_cluster)).topic_ids([topic], TIMEOUT_S) == {}


def _until_reported(offsets: KafkaAdmin, topic: str) -> str:
    _until(lambda: topic in offsets.topic_ids([topic], TIMEOUT_S))
    return offsets.topic_ids([topic], TIMEOUT_S)[topic]


def _until(condition: Callable[[], bool]) -> None:
    deadline, pause = clock.monotonic() + TIMEOUT_S, threading.Event()
    while not condition():
        assert clock.monotonic() < deadline, "it did not become true in time"
        pause.wait(0.05)


def test_rules_of_an_unknown_topic_are_open(cluster: Cluster, topic: str) -> None:
    assert cluster.brokers.topic_rules(topic, TIMEOUT_S) == TopicRules()


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("policy", "cleanup"),
    [("delete", {"delete"}), ("compact", {"compact"}), ("compact,delete", {"compact", "delete"})],
)
def test_rules_of_a_real_topic_are_returned(topic: str, policy: str, cleanup: set[str]) -> None:
    servers = required_service("kafka")
    new = NewTopic(topic, 1, 1, config={"cleanup.policy": policy})
    admin_of(servers).create_topics([new])[topic].result(TIMEOUT_S)
    assert KafkaAdmin(KafkaConnection(servers)).topic_rules(topic, TIMEOUT_S) == TopicRules(
        cleanup=frozenset(cleanup), writable=True
    )


def test_rules_are_open_when_brokers_are_unreachable() -> None:
    assert KafkaAdmin(KafkaConnection("127.0.0.1:1")).topic_rules("orders", 0.2) == TopicRules()
