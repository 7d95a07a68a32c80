"""The ingest loop with brokers that turn out to be another cluster's: it reads and commits nothing.

The loop's thread is not started: the test runs its iterations.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Message

from tests.harness.ingest_loops import ZERO, NewLoop, new_consumer
from tests.harness.lanes import TOPIC
from tests.harness.memory_consumer import MemoryConsumer
from tests.harness.subscriptions import ID, subscription
from webhookd.edges.kafka_consumer import ConsumerCallbacks
from webhookd.flow.filters.matcher import Matcher
from webhookd.flow.offsets.topic_metadata import Topics
from webhookd.flow.status.subscription_status import SubscriptionStatus
from webhookd.flow.subscription import Subscription
from workers.ingest.consumer.subscription_consumer import SubscriptionConsumer
from workers.ingest.loop import IngestLoop

SEEN = Topics(partitions={TOPIC: 1})


class Polled(MemoryConsumer):
    """Counts the polls."""

    polls = 0

    def poll(self) -> list[Message]:
        self.polls += 1
        return super().poll()


class Scene(NewLoop):
    """A loop with one subscription, whose lane has something to commit."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"sqlite:///{folder / 'unused.db'}", self._open, partitions=1)
        self.kafka_consumers: list[Polled] = []
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

        return new_consumer(subscribed, previous, loop, matcher=Matcher(()), reader=reader)


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
