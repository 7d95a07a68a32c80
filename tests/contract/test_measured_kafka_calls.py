"""Requests to a real Kafka are measured by their operation, and those to brokers that do not answer count as failed."""

import uuid
from collections.abc import Callable
from contextlib import suppress

from confluent_kafka import KafkaException
from confluent_kafka.cimpl import NewTopic

from tests.harness.dead_letters import dead_letter
from tests.harness.kafka_admin import admin_of
from tests.harness.metrics import LiveMetrics
from webhookd.edges.dead_letter_topics import DeadLetterTopics
from webhookd.edges.kafka_admin import KafkaAdmin
from webhookd.edges.kafka_connection import KafkaConnection
from webhookd.edges.kafka_reachability import KafkaProbe
from webhookd.edges.partition_offsets import PartitionOffsets
from webhookd.errors import Conflict, KafkaUnavailable
from webhookd.flow.offsets.position import Committed, Partition
from workers.ingest.consumer.topic_watch import TopicWatch

TIMEOUT_S = 20.0
SHORT_S = 0.3
COUNT = "webhookd_call_duration_seconds_count"
ERRORS = "webhookd_call_errors_total"
NOBODY = KafkaConnection("127.0.0.1:1")

FAILING = {
    "end_offsets",
    "topic_ids",
    "commit",
    "committed",
    "join_briefly",
    "delete_group",
    "samples",
    "ping",
    "cluster_id",
    "produce",
    "topics",
}
"""Those that fail when no broker answers."""

MEASURED = FAILING | {"topic_rules", "offset_ranges"}
"""These two leave out what was not answered."""


def call_everything(kafka: KafkaConnection, topic: str, timeout_s: float) -> None:
    """Every call once, whether it succeeds or not."""
    admin, offsets, group = KafkaAdmin(kafka), PartitionOffsets(kafka), f"measured-{uuid.uuid4().hex}"
    watch = TopicWatch(kafka, interval_s=60.0, in_use=lambda: (), on_topics=lambda _seen: None)
    place = Partition(topic, 0)
    calls: list[Callable[[], object]] = [
        lambda: admin.end_offsets([topic], timeout_s),
        lambda: admin.topic_ids([topic], timeout_s),
        lambda: admin.topic_rules(topic, timeout_s),
        lambda: admin.commit(group, {topic: {0: 0}}, timeout_s),
        lambda: admin.commits(group, [topic], timeout_s),
        lambda: admin.recommit(group, {place: Committed(offset=0, metadata="")}, timeout_s),
        lambda: admin.join_briefly(group, [topic], "classic", timeout_s),
        lambda: admin.delete_group(group, timeout_s),
        lambda: admin.samples(group, [topic], 1, timeout_s),
        lambda: admin.ping(timeout_s),
        lambda: admin.cluster_id(timeout_s),
        lambda: KafkaProbe(kafka).cluster_id(timeout_s),
        lambda: offsets.committed(group, [place], timeout_s),
        lambda: offsets.offset_ranges([place], timeout_s),
        lambda: offsets.end_offsets([place], timeout_s),
        lambda: watch.describe([topic]),
        lambda: DeadLetterTopics(kafka).append(topic, [dead_letter("s1")], timeout_s),
    ]
    for call in calls:
        with suppress(KafkaUnavailable, KafkaException, Conflict):
            call()


def test_each_request_is_measured_by_its_operation(kafka_bootstrap: str, live_metrics: LiveMetrics) -> None:
    topic = f"measured-{uuid.uuid4().hex}"
    admin_of(kafka_bootstrap).create_topics([NewTopic(topic, 1, 1)])[topic].result(TIMEOUT_S)
    call_everything(KafkaConnection(kafka_bootstrap), topic, TIMEOUT_S)
    seen = live_metrics.read()
    measured = {one.labels["operation"]: one.value for one in seen.series(COUNT, service="kafka")}
    twice = {"end_offsets", "commit", "committed", "cluster_id"}
    assert measured == {operation: 2 if operation in twice else 1 for operation in MEASURED}
    assert seen.series(ERRORS) == []


def test_requests_that_no_broker_answers_have_failed(live_metrics: LiveMetrics) -> None:
    call_everything(NOBODY, "orders", SHORT_S)
    seen = live_metrics.read()
    failed = {one.labels["operation"] for one in seen.series(ERRORS, service="kafka", code="kafka_unavailable")}
    assert failed == FAILING
    assert {one.labels["operation"] for one in seen.series(COUNT)} == MEASURED
