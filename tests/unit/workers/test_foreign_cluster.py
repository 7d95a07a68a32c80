"""The ingest loop with brokers that turn out to be another cluster's: it reads and commits nothing.

The loop's thread is not started: the test runs its iterations.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Message

from tests.harness.lanes import LIMITS, TIMEOUTS, TOPIC, tokens
from tests.harness.memory_consumer import MemoryConsumer
from tests.harness.subscriptions import ID, subscription
from webhookd import clock
from webhookd.edges.dead_letter_topics import DeadLetterTopics
from webhookd.edges.kafka_connection import KafkaConnection
from webhookd.edges.kafka_consumer import ConsumerCallbacks
from webhookd.edges.memory_coordination import MemoryCoordination
from webhookd.flow.batching.backpressure import ReadBackpressure
from webhookd.flow.dispatch.accumulator import BatchAccumulator
from webhookd.flow.dispatch.concurrency_limit import WorkerThreads
from webhookd.flow.filters.matcher import Matcher
from webhookd.flow.offsets.position import Partition
from webhookd.flow.offsets.topic_metadata import Topics
from webhookd.flow.settlement.in_flight import InFlightDeliveries
from webhookd.flow.status.subscription_status import SubscriptionStatus
from webhookd.flow.subscription import Subscription
from webhookd.settings import Settings
from webhookd.store.database import Database
from webhookd.testing.memory_partition_offsets import MemoryPartitionOffsets
from workers.celery_app import build_celery
from workers.ingest.blocking_writers import BlockingWriters
from workers.ingest.consumer.subscription_consumer import SubscriptionConsumer
from workers.ingest.dispatch.task_publisher import TaskPublisher
from workers.ingest.loop import IngestLoop
from workers.ingest.loop_limits import Clocks, LoopLimits
from workers.ingest.settlement.database_writer import DatabaseWriter
from workers.ingest.settlement.dead_letter_publisher import DeadLetterPublisher

ZERO = Partition(TOPIC, 0)
SEEN = Topics(partitions={TOPIC: 1})


class Polled(MemoryConsumer):
    """Counts the polls."""

    polls = 0

    def poll(self) -> list[Message]:
        self.polls += 1
        return super().poll()


class Scene:
    """A loop with one subscription, whose lane has something to commit."""

    def __init__(self, folder: Path) -> None:
        url = f"sqlite:///{folder / 'unused.db'}"
        self.database = Database(url)
        self.kafka_consumers: list[Polled] = []
        writer = DatabaseWriter(
            self.database,
            retention_s=60.0,
            dead_letter_retention_s=60.0,
            audit_retention_s=86400.0,
            dead_letter_limit=100,
            wall_clock=clock.wall_clock,
            monotonic=clock.monotonic,
        )
        app = build_celery(Settings(redis_url="memory://", database_url=url))
        worker_threads = WorkerThreads(first=64, retry=64)
        self.loop = IngestLoop(
            limits=LoopLimits(
                reply="test",
                commit_interval_s=60.0,
                lane_bytes=10_000,
                process_bytes=10_000,
                worker_threads=worker_threads,
            ),
            clocks=Clocks(monotonic=clock.monotonic, wall=clock.wall_clock),
            in_flight=InFlightDeliveries(TIMEOUTS, tokens("delivery"), lambda: 0.5),
            writers=BlockingWriters(
                publisher=TaskPublisher(app, MemoryCoordination(), on_unknown=lambda _: None),
                writer=writer,
                dead_letter_publisher=DeadLetterPublisher(
                    DeadLetterTopics(KafkaConnection("127.0.0.1:1")), clock.monotonic
                ),
                offsets=MemoryPartitionOffsets(),
            ),
            describe_topics=lambda names: Topics(partitions=dict.fromkeys(names, 1)),
            open_consumer=self._open,
            never_joined=lambda: None,
        )
        self.loop.subscriptions.run(subscription(), None)
        lane = self.loop.consumers[ID].accumulator.open_lane(ZERO)
        lane.skip_to(7)

    @property
    def kafka_consumer(self) -> Polled:
        return self.kafka_consumers[-1]

    def iterate(self) -> None:
        self.loop.call_later(0.01, lambda: None)  # the iteration waits for that
        self.loop._iterate()

    def stop(self) -> None:
        self.loop._background.stop(5.0)
        self.database.close()

    def _open(
        self, subscribed: Subscription, previous: SubscriptionStatus | None, loop: IngestLoop
    ) -> SubscriptionConsumer:
        def reader(listener: ConsumerCallbacks) -> Polled:
            self.kafka_consumers.append(Polled(listener))
            return self.kafka_consumers[-1]

        matchers = {TOPIC: Matcher(())}
        accumulator = BatchAccumulator(subscribed, matchers, LIMITS, tokens("accumulator"))
        return SubscriptionConsumer(accumulator, matchers, ReadBackpressure(10_000), loop, reader, previous)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.stop()


def test_cluster_of_the_database_is_read_and_committed_to(scene: Scene) -> None:
    scene.iterate()
    scene.loop.update_topics(SEEN)
    assert (scene.kafka_consumer.polls, [*scene.kafka_consumer.commits[0]]) == (1, [ZERO])


def test_another_cluster_is_not_read_or_committed_to(scene: Scene) -> None:
    scene.loop.abandon_cluster()
    scene.iterate()
    scene.loop.update_topics(SEEN)
    assert (scene.kafka_consumer.polls, scene.kafka_consumer.commits) == (0, [])


def test_leaving_groups_of_another_cluster_commits_nothing(scene: Scene) -> None:
    scene.loop.abandon_cluster()
    scene.loop.subscriptions.kafka_lost = False  # brokers that answer are no reason to
    scene.loop.subscriptions.stop(ID)
    scene.loop._background.stop(5.0)
    assert scene.kafka_consumer.closed == [{}]


def test_nothing_is_started_on_another_cluster(scene: Scene) -> None:
    scene.loop.abandon_cluster()
    scene.loop.subscriptions.go_online()
    scene.loop.subscriptions.run(subscription(), None)
    assert (len(scene.kafka_consumers), scene.loop.consumers) == (1, {})
