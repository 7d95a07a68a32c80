"""Which dead letters a real broker accepts, and why it refuses others. Oracle: the topic as a consumer reads it."""

import uuid

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.cimpl import NewTopic

from tests.harness.dead_letters import dead_letter
from tests.harness.kafka_admin import admin_of
from tests.harness.subscriptions import ID
from webhookd.edges.dead_letter_topics import DeadLetterTopics
from webhookd.edges.kafka_connection import KafkaConnection
from webhookd.flow.dead_letter import CopyFailure, FailedCopy

pytestmark = pytest.mark.kafka

PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def topics(kafka_bootstrap: str) -> DeadLetterTopics:
    return DeadLetterTopics(KafkaConnection(kafka_bootstrap))


def created(bootstrap: str, **config: str) -> str:
    name = f"dead-{uuid.uuid4().hex}"
    admin_of(bootstrap).create_topics([NewTopic(name, 1, config=config)])[name].result(PATIENCE_S)
    return name


def offsets_in(bootstrap: str, topic: str, count: int) -> list[int]:
    """The original offsets in the headers of the first dead letters of a topic, sorted."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": uuid.uuid4().hex})
    consumer.assign([TopicPartition(topic, 0, 0)])
    found = consumer.consume(count, PATIENCE_S)
    consumer.close()
    return sorted(int(dict(message.headers() or [])["webhookd-offset"] or 0) for message in found)


def failures(left: list[FailedCopy]) -> list[tuple[int, CopyFailure]]:
    return [(one.dead_letter.offset, one.failure) for one in left]


def test_dead_letters_are_in_the_topic(kafka_bootstrap: str, topics: DeadLetterTopics) -> None:
    topic = created(kafka_bootstrap)
    assert topics.append(topic, [dead_letter(ID, n) for n in range(300)], PATIENCE_S) == []
    assert offsets_in(kafka_bootstrap, topic, 300) == list(range(300))


def test_compacted_topic_accepts_records_with_a_key(kafka_bootstrap: str, topics: DeadLetterTopics) -> None:
    topic = created(kafka_bootstrap, **{"cleanup.policy": "compact"})
    keys = (b"a", None, b"b", None, b"c")
    left = topics.append(topic, [dead_letter(ID, n, key=key) for n, key in enumerate(keys)], PATIENCE_S)
    assert failures(left) == [(1, CopyFailure.REFUSED), (3, CopyFailure.REFUSED)]
    assert offsets_in(kafka_bootstrap, topic, 3) == [0, 2, 4]


def test_topic_that_does_not_exist_is_reported_missing(topics: DeadLetterTopics) -> None:
    left = topics.append(f"none-{uuid.uuid4().hex}", [dead_letter(ID)], PATIENCE_S)
    assert failures(left) == [(7, CopyFailure.MISSING)]


def test_topic_that_was_deleted_is_reported_missing(kafka_bootstrap: str, topics: DeadLetterTopics) -> None:
    topic = created(kafka_bootstrap)
    assert topics.append(topic, [dead_letter(ID)], PATIENCE_S) == []
    admin_of(kafka_bootstrap).delete_topics([topic])[topic].result(PATIENCE_S)
    assert failures(topics.append(topic, [dead_letter(ID)], PATIENCE_S)) == [(7, CopyFailure.MISSING)]


def test_record_too_large_for_the_topic_is_reported(kafka_bootstrap: str, topics: DeadLetterTopics) -> None:
    topic = created(kafka_bootstrap, **{"max.message.bytes": "2000"})
    left = topics.append(topic, [dead_letter(ID, 1), dead_letter(ID, 2, 5000), dead_letter(ID, 3)], PATIENCE_S)
    assert failures(left) == [(2, CopyFailure.TOO_LARGE)]
    assert offsets_in(kafka_bootstrap, topic, 2) == [1, 3]


def test_unreachable_brokers_give_no_answer() -> None:
    left = DeadLetterTopics(KafkaConnection("127.0.0.1:1")).append("dead", [dead_letter(ID)], 0.2)
    assert failures(left) == [(7, CopyFailure.NO_ANSWER)]
