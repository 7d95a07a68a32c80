"""How a worker process stops: in order at the first signal, at once at the second; it leaves nothing in Redis.

Oracles: the reports that ingest would read, the raw keys in Redis, exit codes. The endpoint responds only when
the test says so.
"""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.hostile_server import OK
from tests.harness.pipeline import until
from tests.harness.running_worker import PATIENCE_S, WorkerScene, worker_scene
from webhookd import clock
from webhookd.flow.attempt.attempt_report import ReportKind
from workers.task_names import RETRY

BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
SOONER_THAN_THE_BUDGET_S = 10.0
HOLDERS = {"unacked", "unacked_index", "webhookd.first", "webhookd.retry", "workers"}
"""The keys of tasks (kombu's) and of heartbeats (the coordination store's). A key exists only while it holds some."""


@pytest.fixture
def scene(redis_url: str, tmp_path: Path) -> Iterator[WorkerScene]:
    """No worker yet."""
    with worker_scene(redis_url, tmp_path, WEBHOOKD_LEASE_S="60") as made:
        yield made


def keys_left(scene: WorkerScene) -> set[str]:
    """Which of these keys the worker has left in Redis."""
    return HOLDERS & scene.ingest.raw().keys()


def test_request_answered_within_the_budget_is_reported(scene: WorkerScene) -> None:
    with scene.worker() as worker:
        delivery = scene.ingest.publish(1)
        scene.endpoint.requests.get(timeout=PATIENCE_S)
        worker.send(signal.SIGTERM)
        worker.wait_for('"event":"stopping"')
        scene.endpoint.answers.put(OK)
        assert worker.wait() == 0
    assert scene.ingest.wait_for_report(delivery, ReportKind.FINISHED).done == 1
    assert keys_left(scene) == set()


def test_request_open_after_the_budget_is_given_back(scene: WorkerScene) -> None:
    with scene.worker(WEBHOOKD_STOP_BUDGET_S="0.2") as worker:
        delivery = scene.ingest.publish(1)
        scene.endpoint.requests.get(timeout=PATIENCE_S)
        assert worker.interrupt(signal.SIGTERM) == 0
        scene.endpoint.answers.put(OK)
    report = scene.ingest.wait_for_report(delivery, ReportKind.FINISHED)
    assert (report.done, report.failure) == (0, None)
    assert keys_left(scene) == set()


def test_second_signal_ends_it_at_once(scene: WorkerScene) -> None:
    with scene.worker() as worker:
        scene.ingest.publish(1)
        scene.endpoint.requests.get(timeout=PATIENCE_S)
        worker.send(signal.SIGTERM)
        worker.wait_for('"event":"stopping"')
        began = clock.monotonic()
        assert worker.interrupt(signal.SIGTERM) == -signal.SIGTERM
        assert clock.monotonic() - began < SOONER_THAN_THE_BUDGET_S
        scene.endpoint.answers.put(OK)
    assert keys_left(scene) - {"workers"} == {"unacked", "unacked_index"}  # the heartbeat expires later


def test_retry_held_for_its_countdown_goes_back(scene: WorkerScene) -> None:
    with scene.worker("--queue", "retry") as worker:
        scene.endpoint.answers.put(BUSY)
        delivery = scene.ingest.publish(1)
        scene.endpoint.requests.get(timeout=PATIENCE_S)
        scene.ingest.wait_for_report(delivery, ReportKind.RETRY)
        until(lambda: "unacked" in scene.ingest.raw() and not scene.ingest.queued(RETRY), "the worker holds the retry")
        assert worker.interrupt(signal.SIGTERM) == 0
    (waiting,) = scene.ingest.queued(RETRY)
    assert waiting["headers"]["eta"]
    assert keys_left(scene) == {"webhookd.retry"}
