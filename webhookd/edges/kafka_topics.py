"""Topic metadata from the cluster: partitions, UUID, and whether webhookd is authorised."""

from collections.abc import Collection, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout

from confluent_kafka import KafkaError, KafkaException, Node, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclOperation
from confluent_kafka.admin._metadata import ClusterMetadata
from confluent_kafka.admin._topic import TopicDescription

from webhookd.flow.offsets.topic_metadata import Topics

MOCK_CLUSTER = "mockCluster"
"""The beginning of the mock cluster's id. A request that the mock does not support can abort the process later."""

DENIED = KafkaError.TOPIC_AUTHORIZATION_FAILED
MISSING = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.UNKNOWN_TOPIC_ID})


def cluster_id_of(metadata: ClusterMetadata) -> str:
    """Return the id by which clusters are compared; empty for a cluster that has none.

    librdkafka's mock creates a new id at each start, and brokers before 0.10.1 have none.
    """
    id_: str | None = metadata.cluster_id
    return "" if id_ is None or id_.startswith(MOCK_CLUSTER) else id_


def describe_topics(
    client: AdminClient, topics: Collection[str], timeout_s: float, *, needed: AclOperation | None = None
) -> Topics:
    """Describe these topics; blocks for at most about `timeout_s`.

    With `needed` a topic counts as denied also when that operation is not authorised; brokers that do not report the
    authorised operations count as allowing it. The mock cluster reports no UUIDs. A topic that the cluster cannot
    describe now is left out. Raises KafkaException when no topic can be described.
    """
    if not topics:
        return Topics()
    some = client.list_topics(next(iter(topics)), timeout=timeout_s)
    if str(some.cluster_id).startswith(MOCK_CLUSTER):
        return _from_listing(client, topics, timeout_s)
    answers = client.describe_topics(
        TopicCollection(sorted(topics)),
        include_authorized_operations=needed is not None,
        request_timeout=timeout_s,
    )
    described: dict[str, TopicDescription] = {}
    refused: dict[str, KafkaException] = {}
    for topic, answer in answers.items():
        try:
            described[topic] = _result(answer, timeout_s)
        except KafkaException as error:
            refused[topic] = error
    return _topics(described, refused, needed)


def _topics(
    described: Mapping[str, TopicDescription], refused: Mapping[str, KafkaException], needed: AclOperation | None
) -> Topics:
    missing = {topic for topic, error in refused.items() if error.args[0].code() in MISSING}
    denied = {topic for topic, error in refused.items() if error.args[0].code() == DENIED}
    if needed is not None:
        denied |= {topic for topic, description in described.items() if not _allows(description, needed)}
    if refused and not (described or missing or denied):
        raise next(iter(refused.values()))
    partitions = {topic: len(description.partitions) for topic, description in described.items()}
    return Topics(
        partitions=partitions | dict.fromkeys(missing, 0),
        ids={topic: str(description.topic_id) for topic, description in described.items()},
        denied=frozenset(denied),
        leaderless={topic: lost for topic, description in described.items() if (lost := _leaderless(description))},
    )


def _from_listing(client: AdminClient, topics: Collection[str], timeout_s: float) -> Topics:
    listed = client.list_topics(timeout=timeout_s).topics
    return Topics(partitions={topic: len(listed[topic].partitions) if topic in listed else 0 for topic in topics})


def _result(answer: "Future[TopicDescription]", timeout_s: float) -> TopicDescription:
    try:
        return answer.result(timeout_s)
    except FutureTimeout as error:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT)) from error  # noqa: SLF001 - librdkafka's own code names


def _allows(description: TopicDescription, needed: AclOperation) -> bool:
    """Whether an operation is authorised.

    A list without DESCRIBE is not reliable, since that operation has just been authorised; it counts as allowing all.
    """
    allowed = description.authorized_operations or ()
    return needed in allowed or AclOperation.DESCRIBE not in allowed


def _leaderless(description: TopicDescription) -> tuple[int, ...]:
    leaders: list[tuple[int, Node | None]] = [(partition.id, partition.leader) for partition in description.partitions]
    return tuple(number for number, leader in leaders if leader is None)
