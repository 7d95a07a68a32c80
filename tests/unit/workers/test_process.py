"""A worker process before its first task, and after its last."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from celery.exceptions import Reject

from tests.harness.delivery_senders import ref
from tests.harness.metrics import LiveMetrics
from webhookd.errors import UnusableSetting
from webhookd.settings import Settings
from workers.delivery.process import WorkerProcess
from workers.delivery.task_run import TaskRun
from workers.edges import build_edges


@pytest.fixture
def process(tmp_path: Path) -> Iterator[WorkerProcess]:
    """An embedded one."""
    settings = Settings.model_validate({"redis_url": "memory://", "database_url": f"sqlite:///{tmp_path}/webhookd.db"})
    edges = build_edges(settings)
    yield WorkerProcess(settings, edges, None)
    edges.close()


def test_task_goes_back_when_the_process_is_stopping(process: WorkerProcess) -> None:
    process.stop(0.0)
    with pytest.raises(Reject) as raised:
        process.deliver([ref()], lambda _ref, _wait_s: None)
    assert raised.value.requeue is True


def test_unusable_proxy_raises_before_any_task(tmp_path: Path) -> None:
    embedded = {"redis_url": "memory://", "database_url": f"sqlite:///{tmp_path}/webhookd.db"}
    settings = Settings.model_validate({**embedded, "egress_proxy": "socks5://user:secret@proxy:1080"})
    edges = build_edges(settings)
    with pytest.raises(UnusableSetting, match="EGRESS_PROXY"):
        WorkerProcess(settings, edges, None)
    edges.close()


def test_attempts_are_served_from_the_start(process: WorkerProcess, tmp_path: Path, live_metrics: LiveMetrics) -> None:
    del process  # without metrics it adds no source, and counts nothing
    assert live_metrics.read().series("webhookd_attempt_duration_seconds_count") == []
    embedded = {"redis_url": "memory://", "database_url": f"sqlite:///{tmp_path}/webhookd.db"}
    settings = Settings.model_validate(embedded)
    edges = build_edges(settings)
    WorkerProcess(settings, edges, live_metrics)
    assert live_metrics.read().value("webhookd_attempt_duration_seconds_count") == 0
    edges.close()


def test_task_that_takes_the_last_free_thread_opens_no_session(process: WorkerProcess) -> None:
    sessions = process._new_sessions()
    for _ in range(process._threads):
        process._load.task_started()
    assert sessions.add(TaskRun(), lambda _session, _refs: None) is None
    process._load.task_ended()
    assert sessions.add(TaskRun(), lambda _session, _refs: None) is not None
