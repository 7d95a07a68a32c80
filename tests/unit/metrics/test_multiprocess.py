"""Processes record into the files of their numbers, and the sums are served.

Oracle: prometheus-client's registry. The processes are one: after `record_in` it is another one to the library.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, values

from webhookd.metrics import multiprocess
from webhookd.metrics.catalogue.api import API_REQUEST_DURATION, API_REQUESTS, API_REQUESTS_OPEN
from webhookd.metrics.catalogue.services import BUILD_INFO
from webhookd.metrics.declaration import Process
from webhookd.metrics.exposition import Exposition

PARENT = 1


@pytest.fixture(autouse=True)
def _one_process_afterwards(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(values, "ValueClass", values.ValueClass)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")
    yield
    values.close_all_multiprocess_files()


def begin(directory: Path, number: int) -> Exposition:
    """What a process does at its start."""
    multiprocess.record_in(directory, number)
    return Exposition(frozenset({Process.API}), lambda error: pytest.fail(str(error)))


def shared(directory: Path) -> CollectorRegistry:
    return multiprocess.shared_registry(directory, PARENT)


def test_counters_histograms_and_gauges_are_summed(tmp_path: Path) -> None:
    for number in (1, 2):
        exposition = begin(tmp_path, number)
        API_REQUESTS.inc("listKeys", "200", by=number)
        API_REQUEST_DURATION.observe(0.002, "listKeys")
        API_REQUESTS_OPEN.inc(by=3)
        exposition.close()
    registry = shared(tmp_path)
    listed = {"operation": "listKeys"}
    assert registry.get_sample_value("webhookd_api_requests_total", listed | {"status": "200"}) == 3
    assert registry.get_sample_value("webhookd_api_request_duration_seconds_count", listed) == 2
    assert registry.get_sample_value("webhookd_api_request_duration_seconds_bucket", listed | {"le": "0.0025"}) == 2
    assert registry.get_sample_value("webhookd_api_requests_open") == 6


def test_a_successor_goes_on_counting_and_leaves_no_more_files(tmp_path: Path) -> None:
    files: list[set[str]] = []
    for _ in range(3):
        exposition = begin(tmp_path, 1)
        API_REQUESTS.inc("listKeys", "200")
        API_REQUESTS_OPEN.inc()
        exposition.close()
        files.append({file.name for file in tmp_path.iterdir()})
        multiprocess.end(tmp_path, 1)
    registry = shared(tmp_path)
    assert registry.get_sample_value("webhookd_api_requests_total", {"operation": "listKeys", "status": "200"}) == 3
    assert registry.get_sample_value("webhookd_api_requests_open") is None
    assert files[0] == files[1] == files[2]


def test_build_info_is_there_once(tmp_path: Path) -> None:
    for number in (1, 2):
        exposition = begin(tmp_path, number)
        BUILD_INFO.set(1, "1.0", "api", "3.11")
        exposition.close()
    labels = {"version": "1.0", "process": "api", "python": "3.11"}
    assert shared(tmp_path).get_sample_value("webhookd_build_info", labels) == 1


def test_the_files_have_their_room_before_they_are_mapped(tmp_path: Path) -> None:
    begin(tmp_path, 1).close()
    files = {file.name.partition("_")[0]: file.stat() for file in tmp_path.glob("*_1.db")}
    assert {kind: found.st_size for kind, found in files.items()} == multiprocess.RESERVED_BYTES
    assert all(found.st_blocks * 512 >= found.st_size for found in files.values())


def test_files_that_cannot_be_opened_leave_no_metric_that_records(tmp_path: Path) -> None:
    multiprocess.record_in(tmp_path, 1)
    shutil.rmtree(tmp_path)
    with pytest.raises(FileNotFoundError):
        Exposition(frozenset({Process.API}), lambda error: pytest.fail(str(error)))
    API_REQUESTS.inc("listKeys", "200")
    assert not tmp_path.exists()
