"""The rules for writing to a topic: cleanup policy, and whether webhookd is authorised."""

from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import TypeVar

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclOperation
from confluent_kafka.admin._config import ConfigResource

from webhookd import clock
from webhookd.edges.kafka_topics import MOCK_CLUSTER
from webhookd.flow.offsets.topic_metadata import TopicRules

WRITERS = frozenset({AclOperation.WRITE, AclOperation.ALL})

Answer = TypeVar("Answer")


def topic_write_rules(client: AdminClient, topic: str, timeout_s: float) -> TopicRules:
    """Return the rules of a topic; what the cluster does not report in time is None. Blocks."""
    until = clock.monotonic() + timeout_s
    try:
        if str(client.list_topics(topic, timeout=timeout_s).cluster_id).startswith(MOCK_CLUSTER):
            return TopicRules()
    except KafkaException:
        return TopicRules()
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    configs = client.describe_configs([resource], request_timeout=timeout_s)
    descriptions = client.describe_topics(
        TopicCollection([topic]), request_timeout=timeout_s, include_authorized_operations=True
    )
    config = _result_or_none(configs[resource], until)
    description = _result_or_none(descriptions[topic], until)
    policy = config.get("cleanup.policy") if config else None
    allowed = description.authorized_operations if description else None
    return TopicRules(
        cleanup=None if policy is None else frozenset(str(policy.value).split(",")),
        writable=None if not allowed else bool(WRITERS & set(allowed)),
    )


def _result_or_none(answer: "Future[Answer]", until: float) -> Answer | None:
    try:
        return answer.result(max(0.0, until - clock.monotonic()))
    except (FutureTimeout, KafkaException):
        return None
