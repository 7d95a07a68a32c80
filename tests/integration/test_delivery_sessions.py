"""Delivery sessions of a real worker process on a real Redis: what is pushed to an open task, and how a session ends.

Oracles: the requests at the endpoint, the reports that ingest would read, `celery inspect`, the raw keys in Redis.
The endpoint responds only when the test says so.
"""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.hostile_server import OK
from tests.harness.pipeline import until
from tests.harness.running_worker import PATIENCE_S, WorkerScene, worker_scene
from webhookd.flow.attempt.attempt_report import ReportKind
from webhookd.flow.dispatch.delivery import Delivery
from workers.task_names import FIRST, RETRY

BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
def scene(redis_url: str, tmp_path: Path) -> Iterator[WorkerScene]:
    """Sessions stay open for longer than any step of a test takes. No worker yet."""
    with worker_scene(redis_url, tmp_path, WEBHOOKD_LEASE_S="60", WEBHOOKD_SESSION_IDLE_S="3") as made:
        yield made


def acknowledged(scene: WorkerScene, delivery: Delivery) -> None:
    """Let the endpoint acknowledge the request of a delivery, and wait for the report."""
    scene.endpoint.requests.get(timeout=PATIENCE_S)
    scene.endpoint.answers.put(OK)
    assert scene.ingest.wait_for_report(delivery, ReportKind.FINISHED).done == 1


def session_opened(scene: WorkerScene) -> str:
    """The session of a task whose own delivery has ended."""
    delivery = scene.ingest.publish(1)
    scene.endpoint.requests.get(timeout=PATIENCE_S)
    session = scene.ingest.wait_for_session(delivery)
    scene.endpoint.answers.put(OK)
    scene.ingest.wait_for_report(delivery, ReportKind.FINISHED)
    return session


def active_tasks(scene: WorkerScene) -> int:
    """How many tasks the workers carry out."""
    found = scene.ingest.app.control.inspect(timeout=2.0).active() or {}
    return sum(len(tasks) for tasks in found.values())


def test_pushed_deliveries_arrive_without_a_task_of_their_own(scene: WorkerScene) -> None:
    with scene.worker():
        session = session_opened(scene)
        for _ in range(3):
            acknowledged(scene, scene.ingest.publish(1, session))
        assert scene.ingest.refused == []
        assert (active_tasks(scene), scene.ingest.queued(FIRST)) == (1, [])
        until(lambda: not active_tasks(scene), "the session closes when nothing is pushed")
        assert not [name for name in scene.ingest.raw() if name.startswith(("session:", "pushes:", "unacked"))]


def test_no_delivery_of_a_session_waits_for_the_endpoint_of_another_one(scene: WorkerScene) -> None:
    with scene.worker():
        first = scene.ingest.publish(1)
        scene.endpoint.requests.get(timeout=PATIENCE_S)
        session = scene.ingest.wait_for_session(first)
        others = [scene.ingest.publish(1, session) for _ in range(3)]
        for _ in range(3):
            scene.endpoint.requests.get(timeout=PATIENCE_S)  # all of them, and none is answered yet
        for _ in range(4):
            scene.endpoint.answers.put(OK)
        ended: set[str] = set()
        while len(ended) < 4:
            ended |= scene.ingest.finished()
        assert (ended, scene.ingest.refused) == ({one.id for one in [first, *others]}, [])


def test_retry_of_a_pushed_delivery_is_a_task_in_the_queue_for_retries(scene: WorkerScene) -> None:
    with scene.worker():
        session = session_opened(scene)
        scene.endpoint.answers.put(BUSY)
        delivery = scene.ingest.publish(1, session)
        scene.ingest.wait_for_report(delivery, ReportKind.RETRY)
        until(lambda: len(scene.ingest.queued(RETRY)) == 1, "the retry is in its queue")
        (task,) = scene.ingest.queued(RETRY)
        assert not task["headers"].get("webhookd_session")


def test_stop_closes_an_open_session_at_once(scene: WorkerScene) -> None:
    with scene.worker() as worker:
        session = session_opened(scene)
        delivery = scene.ingest.publish(1, session)
        scene.endpoint.requests.get(timeout=PATIENCE_S)
        worker.send(signal.SIGTERM)
        worker.wait_for('"event":"stopping"')
        until(lambda: f"session:{session}" not in scene.ingest.raw(), "the session is closed")
        late = scene.ingest.publish(1, session)
        scene.ingest.wait_published()
        scene.endpoint.answers.put(OK)
        assert worker.wait() == 0
    assert scene.ingest.wait_for_report(delivery, ReportKind.FINISHED).done == 1
    assert [one.id for one in scene.ingest.refused] == [late.id]
    assert (len(scene.ingest.queued(FIRST)), "unacked" in scene.ingest.raw()) == (1, False)


def test_what_was_pushed_to_a_killed_worker_can_be_published_as_a_task(scene: WorkerScene) -> None:
    with scene.worker() as worker:
        session = session_opened(scene)
        assert worker.interrupt(signal.SIGKILL) == -signal.SIGKILL
    delivery = scene.ingest.publish(1, session)
    scene.ingest.wait_published()
    assert scene.ingest.refused == []
    until(lambda: f"session:{session}" not in scene.ingest.raw(), "Redis forgets the session")
    with scene.worker():
        scene.ingest.publish_again(delivery)
        acknowledged(scene, delivery)


def test_without_an_idle_time_no_task_stays_open(scene: WorkerScene) -> None:
    with scene.worker(WEBHOOKD_SESSION_IDLE_S="0"):
        delivery = scene.ingest.publish(1)
        scene.endpoint.requests.get(timeout=PATIENCE_S)
        assert scene.ingest.wait_for_report(delivery, ReportKind.STARTED).session == ""
        scene.endpoint.answers.put(OK)
        scene.ingest.wait_for_report(delivery, ReportKind.FINISHED)
