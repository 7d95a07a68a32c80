"""The UUIDs of topics (KIP-516): what tells a topic from one of the same name that was made after its deletion."""

from collections.abc import Collection
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._topic import TopicDescription

MOCK_CLUSTER = "mockCluster"
"""How librdkafka's mock names itself; a request it does not know can make librdkafka abort the process later on."""


def topic_ids(client: AdminClient, topics: Collection[str], timeout_s: float) -> dict[str, str]:
    """The UUID of each topic that exists; those that cannot be told are left out. Blocks for at most `timeout_s`.

    Raises KafkaException when the cluster does not answer.
    """
    if not topics or str(client.list_topics(next(iter(topics)), timeout=timeout_s).cluster_id).startswith(MOCK_CLUSTER):
        return {}
    answers = client.describe_topics(TopicCollection(sorted(topics)), request_timeout=timeout_s)
    found = {topic: _answered(answer, timeout_s) for topic, answer in answers.items()}
    return {topic: str(description.topic_id) for topic, description in found.items() if description is not None}


def _answered(answer: "Future[TopicDescription]", timeout_s: float) -> TopicDescription | None:
    try:
        return answer.result(timeout_s)
    except (KafkaException, FutureTimeout):
        return None  # not there (any more): the next look will tell
