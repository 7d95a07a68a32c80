"""What the cluster says about topics: how many partitions each has, and which UUID."""

from collections.abc import Collection
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._metadata import ClusterMetadata
from confluent_kafka.admin._topic import TopicDescription

from webhookd.flow.topics import Topics

MOCK_CLUSTER = "mockCluster"
"""How librdkafka's mock names itself; a request it does not know can make librdkafka abort the process later on."""

MISSING = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.UNKNOWN_TOPIC_ID})


def cluster_id_of(metadata: ClusterMetadata) -> str:
    """The id to compare clusters by; empty for one that has none.

    librdkafka's mock makes a new id at each start, and brokers before 0.10.1 have none.
    """
    id_: str | None = metadata.cluster_id
    return "" if id_ is None or id_.startswith(MOCK_CLUSTER) else id_


def look(client: AdminClient, topics: Collection[str], timeout_s: float) -> Topics:
    """What the cluster says about these topics; blocks for at most about `timeout_s`.

    The mock cluster tells no UUIDs; a topic that the cluster will not talk about is left out. Raises KafkaException
    when nothing is answered.
    """
    if not topics:
        return Topics()
    some = client.list_topics(next(iter(topics)), timeout=timeout_s)
    if str(some.cluster_id).startswith(MOCK_CLUSTER):
        return _listed(client, topics, timeout_s)
    answers = client.describe_topics(TopicCollection(sorted(topics)), request_timeout=timeout_s)
    found: dict[str, TopicDescription | None] = {}
    refused: list[KafkaException] = []
    for topic, answer in answers.items():
        try:
            found[topic] = _answered(answer, timeout_s)
        except KafkaException as error:
            refused.append(error)
    if refused and not found:
        raise refused[0]
    return Topics(
        partitions={topic: len(description.partitions) if description else 0 for topic, description in found.items()},
        ids={topic: str(description.topic_id) for topic, description in found.items() if description},
    )


def _listed(client: AdminClient, topics: Collection[str], timeout_s: float) -> Topics:
    listed = client.list_topics(timeout=timeout_s).topics
    return Topics(partitions={topic: len(listed[topic].partitions) if topic in listed else 0 for topic in topics})


def _answered(answer: "Future[TopicDescription]", timeout_s: float) -> TopicDescription | None:
    """The description, None for a topic that does not exist."""
    try:
        return answer.result(timeout_s)
    except FutureTimeout as error:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT)) from error  # noqa: SLF001 - librdkafka's own code names
    except KafkaException as error:
        if error.args[0].code() in MISSING:
            return None
        raise
