"""The numbers of worker processes, and an API that has no room for metrics. gunicorn's objects are their attributes."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client import values
from structlog.testing import capture_logs

from api.shared_metrics import SharedMetrics, shared_metrics
from webhookd.metrics.catalogue.api import API_REQUESTS
from webhookd.settings import Settings

SETTINGS = Settings(metrics_bind="127.0.0.1:0")


@pytest.fixture
def metrics(tmp_path: Path) -> Iterator[SharedMetrics]:
    made = SharedMetrics(SETTINGS, str(tmp_path))
    yield made
    made.close()


def started(metrics: SharedMetrics, *running: int) -> int:
    """The number of a new worker process while others run."""
    master = SimpleNamespace(
        WORKERS={pid: SimpleNamespace(metrics_number=number) for pid, number in enumerate(running)}
    )
    worker = SimpleNamespace()
    metrics.assign_number(master, worker)
    return int(worker.metrics_number)


def test_a_new_worker_process_gets_the_first_number_that_no_running_one_has(metrics: SharedMetrics) -> None:
    assert started(metrics) == 1
    assert started(metrics, 1) == 2
    assert started(metrics, 2) == 1
    assert started(metrics, 3, 1) == 2
    assert started(metrics, 1, 2) == 3


def test_a_worker_process_that_has_recorded_nothing_ends_without_an_error(metrics: SharedMetrics) -> None:
    metrics.end(SimpleNamespace(), SimpleNamespace(metrics_number=1))


def test_a_worker_process_without_room_for_its_files_works_without_metrics(
    metrics: SharedMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(values, "ValueClass", values.ValueClass)
    metrics.directory.rmdir()
    worker = SimpleNamespace(metrics_number=1)
    with capture_logs() as lines:
        metrics.record(SimpleNamespace(), worker)
    [line] = lines
    assert (line["event"], line["directory"]) == ("metrics_not_recorded", str(metrics.directory))
    API_REQUESTS.inc("listKeys", "200")
    metrics.serve()
    metrics.end(SimpleNamespace(), worker)


def test_without_an_address_there_are_none(tmp_path: Path) -> None:
    assert shared_metrics(Settings(metrics_bind=""), str(tmp_path)) is None
    assert list(tmp_path.iterdir()) == []


def test_an_api_without_room_for_metrics_starts_without_them(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    with capture_logs() as lines:
        assert shared_metrics(SETTINGS, missing) is None
    [line] = lines
    assert (line["event"], line["log_level"], line["directory"]) == ("metrics_not_recorded", "warning", missing)
