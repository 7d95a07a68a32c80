"""A subscription consumer on a real broker that revokes access, and whose topics hold what no consumer reads.

Real: Kafka with an authorizer, the consumer, topic metadata. The test controls the clock and the loop's iterations.
"""

import threading
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

import pytest
from confluent_kafka import TopicPartition

from tests.harness.clusters import PATIENCE_S
from tests.harness.kafka_admin import admin_of
from tests.harness.kafka_with_acls import DESCRIBE, GROUP, READ, TOPIC, KafkaWithAcls, kafka_with_acls
from tests.harness.lanes import LIMITS, tokens
from tests.harness.memory_consumer import MemoryServices
from tests.harness.subscriptions import subscription
from webhookd import clock
from webhookd.edges.kafka_connection import KafkaConnection
from webhookd.edges.kafka_consumer import GroupConsumer
from webhookd.edges.kafka_topics import describe_topics
from webhookd.edges.partition_offsets import PartitionOffsets
from webhookd.flow.batching.backpressure import ReadBackpressure
from webhookd.flow.dispatch.accumulator import BatchAccumulator
from webhookd.flow.filters.matcher import Matcher
from webhookd.flow.offsets.position import Partition
from webhookd.flow.offsets.topic_metadata import Topics
from webhookd.flow.status.subscription_status import SubscriptionStatus
from webhookd.flow.subscription import Source, Start
from workers.ingest.consumer.subscription_consumer import SubscriptionConsumer

pytestmark = pytest.mark.kafka

MINUTE_S = 60
"""An error that lasts longer must be in the status."""

ASK_S = 5.0
NOTHING = ("total > `100`",)
"""Filters that drop all records of these tests, so that reading settles them."""


@pytest.fixture(scope="module")
def kafka() -> Iterator[KafkaWithAcls]:
    with kafka_with_acls() as running:
        yield running


class AskingServices(MemoryServices):
    """Asks real brokers for topic metadata and positions."""

    def __init__(self, bootstrap_servers: str) -> None:
        super().__init__()
        self.offsets = PartitionOffsets(KafkaConnection(bootstrap_servers))
        self.calls = []  # answers must not arrive inside the consumer's callbacks
        self._admin = admin_of(bootstrap_servers)

    def hear(self) -> None:
        """Run the calls that wait for the loop's next iteration."""
        waiting, self.calls = self.calls or [], []
        later, self.later = self.later, []
        for action in [*waiting, *(action for _, action in later)]:
            action()

    def topics(self, names: Collection[str]) -> Topics:
        return describe_topics(self._admin, names, ASK_S)


class Site:
    """A subscription consumer in a group of its own; each iteration is a second of its clock."""

    def __init__(self, kafka: KafkaWithAcls, topic: str, group: str, protocol: str = "classic") -> None:
        self.services = AskingServices(kafka.bootstrap_servers)
        source = Source(topic=topic, jmes_filters=NOTHING, start=Start.EARLIEST)
        matchers = {topic: Matcher(NOTHING)}
        self.consumer = SubscriptionConsumer(
            BatchAccumulator(
                subscription(id=group.removeprefix("webhooks-"), sources=(source,)), matchers, LIMITS, tokens("route")
            ),
            matchers,
            ReadBackpressure(10_000),
            self.services,
            lambda listener: GroupConsumer(
                KafkaConnection(kafka.bootstrap_servers), group, [topic], protocol, listener
            ),
            None,
        )
        self._topic = topic

    def turn(self) -> SubscriptionStatus:
        """Let a second pass, with what the loop, its timers and the topic watch do in it."""
        self.services.now += 1.0
        self.services.hear()
        self.consumer.poll(self.services.now, 0.001)
        self.consumer.update_topics(self.services.topics([self._topic]))
        self.consumer.commits.commit()
        unfetched = self.consumer.unfetched_partitions()
        if unfetched:
            self.consumer.update_end_offsets(self.services.offsets.end_offsets(unfetched, ASK_S))
        self.consumer.check()
        return self.consumer.status()

    def until(self, condition: Callable[[SubscriptionStatus], bool]) -> SubscriptionStatus:
        """Iterate until it holds; returns the status."""
        deadline, pause = clock.monotonic() + PATIENCE_S, threading.Event()
        while not condition(seen := self.turn()):
            assert clock.monotonic() < deadline, f"it never came true: {seen}"
            pause.wait(0.05)
        return seen

    def until_read(self, records: int) -> None:
        """Iterate until so many records were read, and the end was reached."""
        self.until(lambda seen: seen.filtered >= records and seen.lag == 0)

    def committed(self) -> int:
        """The watermark of partition 0 that was last committed."""
        mark = self.consumer.accumulator.lanes[self._topic, 0].committed
        return mark.offset if mark else -1


@contextmanager
def at_work(kafka: KafkaWithAcls, topic: str, group: str = "", protocol: str = "classic") -> Iterator[Site]:
    site = Site(kafka, topic, group or f"webhooks-{uuid.uuid4()}", protocol)
    try:
        yield site
    finally:
        site.consumer.close()


def reasons(status: SubscriptionStatus) -> list[str]:
    return [problem.code for problem in status.problems]


@pytest.fixture
def topic(kafka: KafkaWithAcls) -> str:
    """A topic with ten records."""
    made = kafka.create()
    kafka.produce(made, 10)
    return made


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_revoked_read_access_is_a_problem_until_granted(kafka: KafkaWithAcls, topic: str, protocol: str) -> None:
    with at_work(kafka, topic, protocol=protocol) as site:
        site.until_read(10)
        kafka.deny(TOPIC, topic, READ)
        site.until(lambda _: site.consumer.kafka_consumer.end_offset(Partition(topic, 0)) is None)
        began = site.services.now
        kafka.produce(topic, 3)
        denied = site.until(lambda seen: reasons(seen) == ["topic_denied"] and seen.lag == 3)
        assert (topic in denied.problems[0].detail, site.services.now - began < MINUTE_S) == (True, True)
        kafka.restore(TOPIC, topic)
        site.until(lambda seen: (seen.filtered, reasons(seen), seen.lag) == (13, [], 0))


def test_granted_read_access_is_noticed_without_a_record(kafka: KafkaWithAcls, topic: str) -> None:
    with at_work(kafka, topic) as site:
        site.until_read(10)
        kafka.deny(TOPIC, topic, READ)
        site.until(lambda seen: reasons(seen) == ["topic_denied"])
        kafka.restore(TOPIC, topic)
        site.until(lambda seen: (reasons(seen), seen.lag) == ([], 0))


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_revoked_describe_access_is_a_problem_until_granted(kafka: KafkaWithAcls, topic: str, protocol: str) -> None:
    with at_work(kafka, topic, protocol=protocol) as site:
        site.until_read(10)
        kafka.deny(TOPIC, topic, DESCRIBE)
        began = site.services.now
        denied = site.until(lambda seen: bool(seen.problems))
        assert (reasons(denied), denied.lag) == (["topic_denied"], None)
        assert site.services.now - began < MINUTE_S
        kafka.restore(TOPIC, topic)
        kafka.produce(topic, 3)
        site.until(lambda seen: (seen.filtered, reasons(seen), seen.lag) == (13, [], 0))


def test_denied_group_is_a_problem_until_granted(kafka: KafkaWithAcls, topic: str) -> None:
    group = f"webhooks-{uuid.uuid4()}"
    kafka.deny(GROUP, group, READ)
    with at_work(kafka, topic, group) as site:
        denied = site.until(lambda seen: bool(seen.problems))
        assert (reasons(denied), denied.lag) == (["group_denied"], None)
        kafka.restore(GROUP, group)
        site.until(lambda seen: (seen.filtered, reasons(seen), seen.lag) == (10, [], 0))


def test_transactions_leave_no_lag_and_no_loss(kafka: KafkaWithAcls) -> None:
    topic, group = kafka.create(), f"webhooks-{uuid.uuid4()}"
    kafka.transact(topic, 10, commit=True)
    kafka.transact(topic, 500, commit=False)
    with at_work(kafka, topic, group) as site:
        site.until_read(10)
        site.until(lambda _: site.committed() == 512)
        kafka.transact(topic, 1, commit=True)
        site.until_read(11)
        site.until(lambda _: site.committed() == 514)
    place = TopicPartition(topic, 0, 514)
    for answer in admin_of(kafka.bootstrap_servers).delete_records([place]).values():
        answer.result(PATIENCE_S)
    with at_work(kafka, topic, group) as site:
        after = site.until(lambda seen: seen.lag == 0)
        assert (after.lost_ranges, after.problems, after.filtered) == ((), (), 0)


def test_open_transaction_is_no_lag(kafka: KafkaWithAcls, topic: str) -> None:
    with at_work(kafka, topic) as site, kafka.transaction(topic, 5) as producer:
        site.until_read(10)
        site.until(lambda _: site.consumer.kafka_consumer.end_offset(Partition(topic, 0)) == 15)
        during = [site.turn().lag for _ in range(3)]
        producer.commit_transaction(PATIENCE_S)
        site.until_read(15)
        assert during == [0, 0, 0]
