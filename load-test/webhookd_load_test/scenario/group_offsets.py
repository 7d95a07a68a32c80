"""How far the consumer groups of the subscriptions are: their committed offsets against the ends of the partitions."""

from collections.abc import Callable, Mapping, Sequence

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

ASK_TIMEOUT_S = 10.0
KEPT_CLIENTS = 20
"""A client has threads and connections of its own, so only so many are kept; the others are closed after each use."""

Place = tuple[str, int]
"""A topic and a partition."""


class GroupOffsets:
    """The offsets of the groups `webhooks-{subscription id}`. Use each object on one thread; close it at the end.

    Records before the offsets `begins` belong to nobody here.
    """

    def __init__(self, kafka: Mapping[str, str], partitions: Mapping[str, int]) -> None:
        self._kafka = {**kafka, "log_level": "3"}
        self._places = [TopicPartition(topic, number) for topic, count in partitions.items() for number in range(count)]
        self._admin = AdminClient(dict(self._kafka))
        self._consumers: dict[str, Consumer] = {}
        self.begins: Mapping[Place, int] = {}

    def ends(self) -> dict[Place, int]:
        """The end offset of each partition. Raises KafkaException when Kafka does not answer."""
        asked = {place: OffsetSpec.latest() for place in self._places}
        answers = self._admin.list_offsets(asked, request_timeout=ASK_TIMEOUT_S)
        found = {place: answer.result(ASK_TIMEOUT_S).offset for place, answer in answers.items()}
        return {(place.topic, place.partition): offset for place, offset in found.items()}

    def lag(self, subscription: str, ends: Mapping[Place, int]) -> int:
        """How many records before these ends are not committed. Raises KafkaException when Kafka does not answer."""
        consumer = self._consumers.pop(subscription, None) or self._client(subscription)
        try:
            found = consumer.committed(self._places, timeout=ASK_TIMEOUT_S)
        except KafkaException:
            consumer.close()
            raise
        self._keep(subscription, consumer)
        committed = {(place.topic, place.partition): place.offset for place in found}
        begins = self.begins
        return sum(max(0, end - max(committed[place], begins.get(place, 0))) for place, end in ends.items())

    def close(self) -> None:
        """Close all clients."""
        for consumer in self._consumers.values():
            consumer.close()
        self._consumers.clear()

    def _client(self, subscription: str) -> Consumer:
        """A consumer that joins nothing; the admin client's request for this can crash (librdkafka 2.16)."""
        return Consumer({**self._kafka, "group.id": f"webhooks-{subscription}"})

    def _keep(self, subscription: str, consumer: Consumer) -> None:
        if len(self._consumers) < KEPT_CLIENTS:
            self._consumers[subscription] = consumer
        else:
            consumer.close()


def total_lag(offsets: GroupOffsets, subscriptions: Sequence[str]) -> int | None:
    """The lag of all subscriptions together; None when Kafka does not answer, or when there are too many to ask."""
    if len(subscriptions) > KEPT_CLIENTS:
        return None
    try:
        ends = offsets.ends()
        return sum(offsets.lag(one, ends) for one in subscriptions)
    except KafkaException:
        return None


def behind(offsets: GroupOffsets, subscriptions: Sequence[str], still: Callable[[], bool]) -> list[str]:
    """The subscriptions that have not committed everything up to now, as far as `still` lets it ask."""
    try:
        ends = offsets.ends()
        return [one for one in subscriptions if not still() or offsets.lag(one, ends)]
    except KafkaException:
        return list(subscriptions)
