"""The errors of the edges when Kafka denies access, on a real broker with an authorizer."""

import uuid
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka.admin._acl import AclOperation

from tests.harness.clusters import PATIENCE_S, Member
from tests.harness.kafka_admin import admin_of
from tests.harness.kafka_with_acls import DESCRIBE, GROUP, READ, TOPIC, KafkaWithAcls, kafka_with_acls
from webhookd.edges.kafka_admin import KafkaAdmin
from webhookd.edges.kafka_connection import KafkaConnection
from webhookd.edges.kafka_topics import describe_topics
from webhookd.errors import GroupDenied, TopicDenied
from webhookd.flow.monitoring.kafka_read_errors import GROUP as THE_GROUP
from webhookd.flow.offsets.position import OffsetAndMetadata, Partition

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def kafka() -> Iterator[KafkaWithAcls]:
    with kafka_with_acls() as running:
        yield running


@pytest.fixture(scope="module")
def offsets(kafka: KafkaWithAcls) -> KafkaAdmin:
    return KafkaAdmin(KafkaConnection(kafka.bootstrap_servers))


@pytest.fixture
def topic(kafka: KafkaWithAcls) -> str:
    """A topic with ten records."""
    made = kafka.create()
    kafka.produce(made, 10)
    return made


@pytest.fixture
def group() -> str:
    return f"webhooks-{uuid.uuid4()}"


def test_topic_that_may_not_be_described_is_denied(kafka: KafkaWithAcls, offsets: KafkaAdmin, topic: str) -> None:
    kafka.deny(TOPIC, topic, DESCRIBE)
    calls: list[Callable[[], object]] = [
        lambda: offsets.end_offsets([topic], PATIENCE_S),
        lambda: offsets.topic_ids([topic], PATIENCE_S),
    ]
    for call in calls:
        with pytest.raises(TopicDenied) as denied:
            call()
        assert denied.value.topic == topic


def test_sample_names_denied_topics_and_needs_no_group(
    kafka: KafkaWithAcls, offsets: KafkaAdmin, topic: str, group: str
) -> None:
    unread, undescribed = kafka.create(), kafka.create()
    kafka.produce(unread, 1)
    kafka.deny(TOPIC, unread, READ)
    kafka.deny(TOPIC, undescribed, DESCRIBE)
    kafka.deny(GROUP, group, READ)
    found = offsets.samples(group, [topic, unread, undescribed], 3, PATIENCE_S)
    assert len(found[topic].values or ()) == 3
    assert [found[name].denied for name in (topic, unread, undescribed)] == [False, True, True]


def test_topic_that_may_not_be_read_is_denied(
    kafka: KafkaWithAcls, offsets: KafkaAdmin, topic: str, group: str
) -> None:
    kafka.deny(TOPIC, topic, READ)
    assert offsets.end_offsets([topic], PATIENCE_S) == {topic: {0: 10}}
    with pytest.raises(TopicDenied):
        offsets.topic_ids([topic], PATIENCE_S)
    with pytest.raises(TopicDenied):
        offsets.commit(group, {topic: {0: 10}}, PATIENCE_S)


def test_topic_that_may_only_not_be_written_can_be_read(kafka: KafkaWithAcls, offsets: KafkaAdmin, topic: str) -> None:
    kafka.deny(TOPIC, topic, AclOperation.WRITE)
    assert list(offsets.topic_ids([topic], PATIENCE_S)) == [topic]
    admin = admin_of(kafka.bootstrap_servers)
    assert describe_topics(admin, [topic], PATIENCE_S, needed=AclOperation.WRITE).denied == {topic}


def test_group_that_may_not_be_used_is_denied(
    kafka: KafkaWithAcls, offsets: KafkaAdmin, topic: str, group: str
) -> None:
    kafka.deny(GROUP, group, READ)
    with pytest.raises(GroupDenied):
        offsets.commit(group, {topic: {0: 10}}, PATIENCE_S)


def test_denied_topic_is_distinguished_from_a_missing_one(kafka: KafkaWithAcls, topic: str) -> None:
    kafka.deny(TOPIC, topic, DESCRIBE)
    well, gone, admin = kafka.create(3), f"gone-{uuid.uuid4().hex}", admin_of(kafka.bootstrap_servers)
    described = describe_topics(admin, [topic, well, gone], PATIENCE_S)
    assert (set(described.denied), dict(described.partitions), list(described.ids)) == (
        {topic},
        {well: 3, gone: 0},
        [well],
    )
    assert describe_topics(admin, [topic], PATIENCE_S).denied == {topic}


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_denied_reading_is_reported_and_resumes_by_itself(
    kafka: KafkaWithAcls, topic: str, group: str, protocol: str
) -> None:
    first = Partition(topic, 0)
    with Member(kafka.connection, group, [topic], protocol) as member:
        member.until(lambda: (first, 10) in member.ends)
        kafka.deny(TOPIC, topic, READ)
        member.until(lambda: member.failed == [(first, "topic_authorization_failed")])
        member.consumer.commit({first: OffsetAndMetadata(10)})
        member.until(lambda: member.failed_commits == [(first, "topic_authorization_failed")])
        kafka.produce(topic, 3)
        end = member.consumer.end_offset(first)
        kafka.restore(TOPIC, topic)
        member.until_read(13)
    assert (end, member.offsets) == (None, list(range(13)))


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_partition_reports_its_end_again_after_a_seek(
    kafka: KafkaWithAcls, topic: str, group: str, protocol: str
) -> None:
    first = Partition(topic, 0)
    with Member(kafka.connection, group, [topic], protocol) as member:
        member.until(lambda: (first, 10) in member.ends)
        kafka.deny(TOPIC, topic, READ)
        member.until(lambda: len(member.failed) == 1)
        member.ends.clear()
        kafka.restore(TOPIC, topic)
        member.consumer.seek({first: 10})
        member.until(lambda: (first, 10) in member.ends)
    assert member.offsets == list(range(10))


def test_denied_group_is_reported_and_resumes_by_itself(kafka: KafkaWithAcls, topic: str, group: str) -> None:
    kafka.deny(GROUP, group, READ)
    with Member(kafka.connection, group, [topic], "classic") as member:
        member.until(lambda: (THE_GROUP, "group_authorization_failed") in member.failed)
        kafka.restore(GROUP, group)
        member.until_read(10)


def test_denied_group_of_the_consumer_protocol_is_a_fatal_error(kafka: KafkaWithAcls, topic: str, group: str) -> None:
    with Member(kafka.connection, group, [topic], "consumer") as member:
        member.until_read(10)
        kafka.deny(GROUP, group, READ)
        with pytest.raises(GroupDenied):
            member.until(lambda: False)
