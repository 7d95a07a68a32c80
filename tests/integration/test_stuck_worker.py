"""A worker process whose Redis fails: it goes on by itself, or it ends itself, to be started again.

Oracles: exit codes, reports, and requests at an endpoint that responds only when the test says so.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stack import redis
from stack.free_ports import free_ports
from tests.harness.hostile_server import OK
from tests.harness.pipeline import until
from tests.harness.running_worker import PATIENCE_S, WorkerScene, worker_scene
from webhookd.flow.attempt.attempt_report import ReportKind
from workers.task_names import FIRST

SOON = {"WEBHOOKD_WORKER_STUCK_S": "1"}
STUCK = '"event":"worker_stuck"'
LONG = {"WEBHOOKD_LEASE_S": "60"}


@pytest.fixture
def scene(redis_url: str, tmp_path: Path) -> Iterator[WorkerScene]:
    """No worker yet."""
    with worker_scene(redis_url, tmp_path, **LONG) as made:
        yield made


def idle_s(scene: WorkerScene) -> float:
    """How long ago the worker started a task, as its heartbeat says."""
    (found,) = scene.ingest.workers()
    return found.since_began_s or 0.0


def test_stuck_worker_ends_what_it_sends_and_then_itself(scene: WorkerScene) -> None:
    with scene.worker(**SOON) as worker:
        under_way = scene.ingest.publish(1)
        scene.endpoint.requests.get(timeout=PATIENCE_S)
        scene.ingest.app.control.cancel_consumer(FIRST, reply=True, timeout=PATIENCE_S, limit=1)
        scene.ingest.publish(1)
        worker.wait_for(STUCK)
        scene.endpoint.answers.put(OK)
        assert worker.wait() == 70
    assert scene.ingest.wait_for_report(under_way, ReportKind.FINISHED).done == 1
    assert len(scene.ingest.queued(FIRST)) == 1


def test_worker_without_a_free_thread_is_not_stuck(scene: WorkerScene) -> None:
    with scene.worker(**SOON) as worker:
        deliveries = [scene.ingest.publish(1) for _ in range(5)]
        for _ in range(4):
            scene.endpoint.requests.get(timeout=PATIENCE_S)
        until(lambda: idle_s(scene) > 3.0, "the worker was checked for longer than it takes to count as stuck")
        for _ in deliveries:
            scene.endpoint.answers.put(OK)
        assert [scene.ingest.wait_for_report(one, ReportKind.FINISHED).done for one in deliveries[4:]] == [1]
        assert STUCK not in worker.output


def test_redis_restart_under_a_busy_worker_ends_with_delivery(tmp_path: Path) -> None:
    (folder := tmp_path / "redis").mkdir()
    port = free_ports(1)[0]
    server = redis.start(folder, port)
    server.wait_ready()
    try:
        with worker_scene(server.address, tmp_path, **LONG) as scene, scene.worker():
            for _ in range(4):
                scene.ingest.publish(1)
            for _ in range(4):
                scene.endpoint.requests.get(timeout=PATIENCE_S)
            server.stop()
            server = redis.start(folder, port)
            server.wait_ready()
            for _ in range(5):
                scene.endpoint.answers.put(OK)
            after = scene.ingest.publish(1)
            scene.endpoint.requests.get(timeout=PATIENCE_S)
            assert scene.ingest.wait_for_report(after, ReportKind.FINISHED).done == 1
    finally:
        server.stop()
