"""How far the consumer groups of the subscriptions are: their committed offsets against the ends of the partitions."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin._listoffsets import OffsetSpec

from webhookd_load_test.kafka_access import LIBRARY_LOG, connection

ASK_TIMEOUT_S = 10.0
RECOVERS_SOON = {"topic.metadata.refresh.interval.ms": 1000, "reconnect.backoff.max.ms": 1000}
"""Brokers come and go during a run."""

KEPT_CLIENTS = 20
"""A client has threads and connections of its own, so only so many are kept; the others are closed after each use."""

Place = tuple[str, int]
"""A topic and a partition."""


class KafkaSilentError(Exception):
    """Kafka did not answer, or not in time; the message is librdkafka's."""


class GroupOffsets:
    """The offsets of the groups `webhooks-{subscription id}`. Use each object on one thread; close it at the end.

    `kafka` are properties of librdkafka, `partitions` how many each topic has. Records before the offsets `begins`
    belong to nobody here. Its methods raise KafkaSilentError.
    """

    def __init__(self, kafka: Mapping[str, str], partitions: Mapping[str, int]) -> None:
        self._kafka = connection(kafka)
        self._places = [TopicPartition(topic, number) for topic, count in partitions.items() for number in range(count)]
        self._admin = self._kafka.admin(RECOVERS_SOON)
        self._consumers: dict[str, Consumer] = {}
        self.begins: Mapping[Place, int] = {}

    def ends(self) -> dict[Place, int]:
        """The end offset of each partition."""
        asked = {place: OffsetSpec.latest() for place in self._places}
        try:
            answers = self._admin.list_offsets(asked, request_timeout=ASK_TIMEOUT_S)
            found = {place: answer.result(ASK_TIMEOUT_S).offset for place, answer in answers.items()}
        except (KafkaException, TimeoutError) as error:
            raise KafkaSilentError(f"the ends of the topics: {str(error) or 'no answer'}") from error
        return {(place.topic, place.partition): offset for place, offset in found.items()}

    def lag(self, subscription: str, ends: Mapping[Place, int]) -> int:
        """How many records before these ends are not committed."""
        consumer = self._consumers.pop(subscription, None) or self._client(subscription)
        try:
            found = consumer.committed(self._places, timeout=ASK_TIMEOUT_S)
        except KafkaException as error:
            consumer.close()
            raise KafkaSilentError(f"the committed offsets of webhooks-{subscription}: {error}") from error
        self._keep(subscription, consumer)
        committed = {(place.topic, place.partition): place.offset for place in found}
        return sum(max(0, end - max(committed[place], self.begins.get(place, 0))) for place, end in ends.items())

    def close(self) -> None:
        """Close all clients."""
        for consumer in self._consumers.values():
            consumer.close()
        self._consumers.clear()

    def _client(self, subscription: str) -> Consumer:
        """A consumer that joins nothing; the admin client's request for this can crash (librdkafka 2.16)."""
        return self._kafka.consumer({**RECOVERS_SOON, "group.id": f"webhooks-{subscription}"}, LIBRARY_LOG)

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
    except KafkaSilentError:
        return None


def behind(offsets: GroupOffsets, subscriptions: Iterable[str]) -> dict[str, str]:
    """The subscriptions that have not committed everything up to now: what each lacks, or why that is not known."""
    try:
        ends = offsets.ends()
    except KafkaSilentError as error:
        return dict.fromkeys(subscriptions, str(error))
    return dict(_lacking(offsets, subscriptions, ends))


def _lacking(
    offsets: GroupOffsets, subscriptions: Iterable[str], ends: Mapping[Place, int]
) -> Iterator[tuple[str, str]]:
    for one in subscriptions:
        try:
            lag = offsets.lag(one, ends)
        except KafkaSilentError as error:
            yield one, str(error)
            continue
        if lag:
            yield one, f"{lag:,} records are not committed"
