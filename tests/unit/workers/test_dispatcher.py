"""Which task's thread deliveries use that are published again. The publisher's thread does not run."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.lanes import accumulator, fill, in_flight_deliveries, lane_of
from webhookd.edges.memory_coordination import MemoryCoordination
from webhookd.flow.dispatch.concurrency_limit import WorkerThreads
from webhookd.flow.dispatch.delivery import Delivery
from webhookd.flow.dispatch.open_sessions import OpenSessions, share_thread
from webhookd.flow.dispatch.queue_names import FIRST, RETRY
from webhookd.flow.settlement.queue_progress import UNKNOWN_PUBLICATION
from webhookd.settings import Settings
from workers.celery_app import build_celery
from workers.ingest.dispatch.dispatcher import Dispatcher
from workers.ingest.dispatch.task_publisher import TaskPublisher

NOW = 1e6


class Scene:
    """A dispatcher, and deliveries of one lane each that were pushed to one session."""

    def __init__(self, folder: Path) -> None:
        settings = Settings(redis_url="memory://", database_url=f"sqlite:///{folder}/none.db")
        self.app = build_celery(settings)
        self.in_flight = in_flight_deliveries()
        self.sessions = OpenSessions(idle_s=1.0, most=64)
        self.dispatcher = Dispatcher(
            self.in_flight,
            TaskPublisher(self.app, MemoryCoordination(), on_unknown=lambda _: None),
            reply="test",
            worker_threads=WorkerThreads(first=16, retry=16),
            failed=lambda _consumer, error: pytest.fail(str(error)),
            sessions=self.sessions,
        )
        self.accumulator = accumulator(4)

    def pushed(self) -> list[Delivery]:
        for number in range(4):
            fill(self.accumulator, number, [0])
            lane_of(self.accumulator, number).send_alone = True  # so that each is a delivery of its own
        deliveries = self.accumulator.ready(NOW)
        for delivery in deliveries:
            delivery.queue = FIRST
            delivery.lanes[0].send_alone = False
            self.in_flight.published(delivery, NOW, pushed=True)
        share_thread(99, deliveries)
        return deliveries


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.app.close()


def test_deliveries_that_are_published_again_use_the_threads_of_their_new_tasks(scene: Scene) -> None:
    first, second, alone, retried = scene.pushed()
    alone.lanes[0].send_alone = True
    retried.queue = RETRY
    assert scene.dispatcher.publish_again([first, second, alone, retried], NOW)
    assert first.shared_task == second.shared_task
    assert len({first.shared_task, alone.shared_task, retried.shared_task, 99}) == 4
    assert alone.shared_task == 0
    assert [one.thread_share for one in (first, second, alone, retried)] == [0.5, 0.5, 1.0, 1.0]


def test_refused_push_gets_a_place_in_the_queue(scene: Scene) -> None:
    first, *_ = scene.pushed()
    scene.dispatcher.push_refused("w/1", [first], NOW)
    assert (first.pushed, first.publication_number != UNKNOWN_PUBLICATION) == (False, True)
