"""A running ingest loop whose Kafka consumers the test controls.

Real: the loop's thread, subscription consumers, accumulators, the publisher's thread on kombu's in-memory transport.
Doubled: Kafka consumers.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from confluent_kafka import Message

from tests.harness.databases import create_tables
from tests.harness.lanes import LIMITS, TIMEOUTS, TOPIC, tokens
from tests.harness.memory_consumer import MemoryConsumer, refused_reader
from tests.harness.secret_keys import SECRET_KEYS
from tests.harness.subscriptions import ID
from webhookd import clock
from webhookd.edges.dead_letter_topics import DeadLetterTopics
from webhookd.edges.kafka_connection import KafkaConnection
from webhookd.edges.kafka_consumer import ConsumerCallbacks
from webhookd.edges.memory_coordination import MemoryCoordination
from webhookd.flow.batching.backpressure import ReadBackpressure
from webhookd.flow.dispatch.accumulator import BatchAccumulator
from webhookd.flow.dispatch.concurrency_limit import WorkerThreads
from webhookd.flow.filters.matcher import Matcher
from webhookd.flow.offsets.position import OffsetAndMetadata, Partition
from webhookd.flow.offsets.topic_metadata import Topics
from webhookd.flow.settlement.in_flight import InFlightDeliveries
from webhookd.flow.status.subscription_status import SubscriptionStatus
from webhookd.flow.subscription import Subscription
from webhookd.settings import Settings
from webhookd.store import subscription_statuses
from webhookd.store.database import Database
from webhookd.testing.memory_partition_offsets import MemoryPartitionOffsets
from workers.celery_app import build_celery
from workers.ingest.blocking_writers import BlockingWriters
from workers.ingest.consumer.subscription_consumer import SubscriptionConsumer
from workers.ingest.dispatch.task_publisher import TaskPublisher
from workers.ingest.loop import IngestLoop, KafkaClients
from workers.ingest.loop_limits import Clocks, LoopLimits
from workers.ingest.loop_observers import LoopObservers
from workers.ingest.metrics.loop_observer import NOT_OBSERVED, LoopObserver
from workers.ingest.settlement.database_writer import DatabaseWriter
from workers.ingest.settlement.dead_letter_publisher import DeadLetterPublisher

PATIENCE_S = 20.0
ZERO, ONE = Partition(TOPIC, 0), Partition(TOPIC, 1)


OpenConsumer = Callable[[Subscription, SubscriptionStatus | None, IngestLoop], SubscriptionConsumer]
"""Makes the consumer of a subscription that has this status, in this loop."""


class Faulty(Matcher):
    """Raises an unexpected error on one value."""

    def matches(self, value: bytes | None) -> bool:
        if value == b'"fault"':
            raise AssertionError("a fault of ours")
        return False


class ClosableConsumer(MemoryConsumer):
    """Sets `gone_for_good` when it is closed; raises `refusal` when it is polled."""

    def __init__(self, listener: ConsumerCallbacks) -> None:
        super().__init__(listener)
        self.gone_for_good = Event()
        self.refusal: Exception | None = None

    def poll(self) -> list[Message]:
        if self.refusal is not None:
            raise self.refusal
        return super().poll()

    def close(self, commits: Mapping[Partition, OffsetAndMetadata]) -> None:
        super().close(commits)
        self.gone_for_good.set()


class NewLoop:
    """A loop with its collaborators, of which no thread has been started; each topic has `partitions`."""

    def __init__(
        self,
        url: str,
        open_consumer: OpenConsumer,
        *,
        partitions: int,
        observer: LoopObserver = NOT_OBSERVED,
        subscriptions: int = 960,
    ) -> None:
        self.database = Database(url, secret_keys=SECRET_KEYS)
        self.never_joined = Event()
        self.writer = DatabaseWriter(
            self.database,
            retention_s=60.0,
            dead_letter_retention_s=60.0,
            audit_retention_s=86400.0,
            dead_letter_limit=100,
            wall_clock=clock.wall_clock,
            monotonic=clock.monotonic,
        )
        app = build_celery(Settings(redis_url="memory://", database_url=url))
        self.coordination = MemoryCoordination()
        self.publisher = TaskPublisher(app, self.coordination, on_unknown=lambda _: None)
        self.offsets = MemoryPartitionOffsets()
        self.in_flight = InFlightDeliveries(TIMEOUTS, tokens("delivery"), lambda: 0.5)
        self.loop = IngestLoop(
            limits=_limits(subscriptions),
            clocks=Clocks(monotonic=clock.monotonic, wall=clock.wall_clock),
            in_flight=self.in_flight,
            writers=BlockingWriters(
                publisher=self.publisher,
                writer=self.writer,
                dead_letter_publisher=DeadLetterPublisher(
                    DeadLetterTopics(KafkaConnection("127.0.0.1:1")), clock.monotonic
                ),
                offsets=self.offsets,
            ),
            describe_topics=lambda names: Topics(partitions=dict.fromkeys(names, partitions)),
            clients=KafkaClients(
                open_consumer=open_consumer, open_reader=refused_reader, never_joined=self.never_joined.set
            ),
            observers=LoopObservers(metrics=observer),
        )


def _limits(subscriptions: int) -> LoopLimits:
    return LoopLimits(
        reply="test",
        commit_interval_s=60.0,
        dropped_commit_s=60.0,
        lane_bytes=10_000,
        process_bytes=10_000,
        worker_threads=WorkerThreads(first=64, retry=64),
        subscriptions=subscriptions,
    )


def new_consumer(
    subscribed: Subscription,
    previous: SubscriptionStatus | None,
    loop: IngestLoop,
    *,
    matcher: Matcher,
    reader: Callable[[ConsumerCallbacks], MemoryConsumer],
) -> SubscriptionConsumer:
    """The consumer of a subscription to TOPIC, which reads from what `reader` makes."""
    matchers = {TOPIC: matcher}
    accumulator = BatchAccumulator(subscribed, matchers, LIMITS, tokens("accumulator"))
    return SubscriptionConsumer(accumulator, matchers, ReadBackpressure(10_000), loop, reader, previous)


class Scene(NewLoop):
    """A running loop; `kafka_consumers` are those that it has opened, in their order."""

    def __init__(self, folder: Path, observer: LoopObserver = NOT_OBSERVED, subscriptions: int = 960) -> None:
        url = f"sqlite:///{folder / 'loop.db'}"
        create_tables(url)
        super().__init__(url, self._open, partitions=2, observer=observer, subscriptions=subscriptions)
        self.kafka_consumers: list[ClosableConsumer] = []
        self.opened = Event()
        self.refusals = 0

    def until_read(self, partition: Partition, offset: int) -> None:
        """Wait until a lane has settled all below this offset."""
        pause, deadline = Event(), clock.monotonic() + PATIENCE_S
        while self._watermark(partition) < offset:
            assert clock.monotonic() < deadline, "it was never read"
            pause.wait(0.005)

    def _watermark(self, partition: Partition) -> int:
        lanes = [lane for consumer in self.loop.consumers.values() for lane in consumer.accumulator.lanes.values()]
        return max((lane.ledger.watermark for lane in lanes if lane.partition == partition), default=-1)

    def _open(
        self, subscribed: Subscription, previous: SubscriptionStatus | None, loop: IngestLoop
    ) -> SubscriptionConsumer:
        if self.refusals:
            self.refusals -= 1
            raise MemoryError("no more threads")
        consumer = new_consumer(subscribed, previous, loop, matcher=Faulty(()), reader=self._reader)
        self.opened.set()
        return consumer

    def _reader(self, listener: ConsumerCallbacks) -> ClosableConsumer:
        reader = ClosableConsumer(listener)
        self.kafka_consumers.append(reader)
        return reader


@contextmanager
def running(folder: Path, observer: LoopObserver = NOT_OBSERVED, subscriptions: int = 960) -> Iterator[Scene]:
    """A scene whose threads run; at most so many `subscriptions`."""
    made = Scene(folder, observer, subscriptions)
    made.writer.start()
    made.publisher.start()
    made.loop.start()
    yield made
    made.loop.stop(5.0)
    made.publisher.stop(5.0)
    made.writer.stop(5.0)
    made.database.close()


def message(partition: Partition, offset: int, value: bytes) -> Message:
    """A message as the consumer returns it."""
    return Message(topic=TOPIC, partition=partition.number, offset=offset, value=value, timestamp=(1, 0))


def on_the_loop(scene: Scene, action: Callable[[], None]) -> None:
    """Run on the loop's thread, to its end."""
    done = Event()
    scene.loop.call(action)
    scene.loop.call(done.set)
    assert done.wait(PATIENCE_S)


def held_status(scene: Scene, code: str, version: int) -> SubscriptionStatus:
    """Wait until the status has this reason."""
    pause, deadline = Event(), clock.monotonic() + PATIENCE_S
    while True:
        with scene.database.transaction() as session:
            status = subscription_statuses.read(session, ID)
        if status is not None and (status.reason, status.version) == (code, version):
            return status
        assert clock.monotonic() < deadline, status
        pause.wait(0.01)
