"""A subscription consumer of one topic with a filter, and its Kafka consumer, which the test controls."""

from collections.abc import Mapping, Sequence

from confluent_kafka import Message

from tests.harness.lanes import LIMITS, TOPIC, tokens
from tests.harness.memory_consumer import MemoryConsumer, MemoryConsumerOffsets, MemoryServices
from tests.harness.subscriptions import ID, subscription
from webhookd.edges.kafka_consumer import ConsumerCallbacks
from webhookd.flow.authorization.topic_matcher import TopicMatcher, topic_matcher
from webhookd.flow.batching.backpressure import ReadBackpressure
from webhookd.flow.destination import Destination
from webhookd.flow.dispatch.accumulator import BatchAccumulator
from webhookd.flow.dispatch.delivery import Delivery, Lane
from webhookd.flow.offsets.commit_metadata import decode, encode
from webhookd.flow.offsets.position import OffsetAndMetadata, Partition
from webhookd.flow.policy.policy import OPEN_TOPIC, TopicPolicies
from webhookd.flow.status.subscription_status import SubscriptionStatus
from webhookd.flow.subscription import Batching, Source
from workers.ingest.consumer.subscription_consumer import SubscriptionConsumer

ZERO, ONE = Partition(TOPIC, 0), Partition(TOPIC, 1)
DESTINATION = Destination(url="https://example.com/hook", headers=(("X-Api-Key", "secret"),))
GOOD, SMALL, BAD = b'{"total": 200}', b'{"total": 1}', b"\xff"


class Scene:
    """A subscription consumer of one topic with a filter, and its Kafka consumer; two partitions are assigned."""

    def __init__(
        self,
        size: int = 10,
        previous: SubscriptionStatus | None = None,
        *,
        committed: OffsetAndMetadata | None = None,
        topic_id: str = "",
        ids: Mapping[str, str] | None = None,
        filters: Sequence[str] = ("total > `100`",),
        drops_errors: bool = False,
        policies: TopicPolicies = OPEN_TOPIC,
        commit_interval_s: float = 1.0,
        destination: Destination = DESTINATION,
        id_: str = ID,
        services: MemoryServices | None = None,
    ) -> None:
        source = Source(topic=TOPIC, jmes_filters=tuple(filters), start_offsets={0: 5}, topic_id=topic_id)
        batching = Batching(max_batch_size=size)
        subscribed = subscription(
            id_, sources=(source,), batching=batching, destination=destination, policies={TOPIC: policies}
        )
        self.matchers: dict[str, TopicMatcher] = {TOPIC: topic_matcher(policies, filters, drops_errors=drops_errors)}
        matchers = self.matchers
        self.kafka_consumers: list[MemoryConsumer] = []
        self.services = services or MemoryServices()
        self.services.commit_interval_s = commit_interval_s
        self.consumer = SubscriptionConsumer(
            BatchAccumulator(subscribed, matchers, LIMITS, tokens("accumulator")),
            matchers,
            ReadBackpressure(10_000),
            self.services,
            self._open,
            previous,
        )
        self.services.offsets = MemoryConsumerOffsets(lambda: self.kafka_consumer)
        self.services.ids.update(ids or {})
        self.kafka_consumer.committed = committed or OffsetAndMetadata(
            0
        )  # the Kafka consumer starts at the committed offset by itself
        self.kafka_consumer.listener.assigned([ZERO, ONE])
        self.kafka_consumer.committed = committed

    def _open(self, listener: ConsumerCallbacks) -> MemoryConsumer:
        self.kafka_consumers.append(MemoryConsumer(listener))
        return self.kafka_consumers[-1]

    @property
    def kafka_consumer(self) -> MemoryConsumer:
        return self.kafka_consumers[-1]

    def lane(self, partition: Partition = ZERO) -> Lane:
        return self.consumer.accumulator.lanes[partition.topic, partition.number]

    def reads(self, partition: Partition, *values: bytes, at: int = 0) -> None:
        """Messages with these values arrive in a partition, from an offset on, and are polled."""
        self.kafka_consumer.arrived.append(
            [
                Message(topic=TOPIC, partition=partition.number, offset=at + n, value=value, timestamp=(1, 0))
                for n, value in enumerate(values)
            ]
        )
        self.consumer.poll(self.services.now, 0.001)

    def committable(self) -> dict[Partition, int]:
        """The offsets that are to be committed since the last time."""
        return offsets(self.consumer.commits.take_moved())

    def filters_by(self, matcher: TopicMatcher) -> None:
        """Use another matcher from here on."""
        self.matchers[TOPIC] = matcher

    def mixed(self) -> Delivery:
        """A delivery of one record of each lane."""
        self.reads(ZERO, GOOD)
        self.reads(ONE, GOOD, at=7)
        (delivery,) = self.consumer.accumulator.ready(self.services.now + 99.0)
        return delivery


def offsets(commits: Mapping[Partition, OffsetAndMetadata]) -> dict[Partition, int]:
    return {partition: commit.offset for partition, commit in commits.items()}


def decoded(commit: OffsetAndMetadata) -> OffsetAndMetadata:
    """An offset and its metadata as Kafka returns them."""
    return OffsetAndMetadata(commit.offset, decode(encode(commit.metadata)))
