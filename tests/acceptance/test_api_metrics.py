"""The metrics of `webhookd api`: gunicorn with two worker processes, on a real Postgres.

Oracles: what the test has sent; the exit of processes; prometheus-client's parser. SIGSTOP decides which worker process
answers a request.
"""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.api_with_metrics import MeasuredApi, measured_api
from tests.harness.databases import new_database
from tests.harness.metrics import Scrape
from tests.harness.pipeline import until
from webhookd.store import migrating

REQUESTS = "webhookd_api_requests_total"
DURATIONS = "webhookd_api_request_duration_seconds_count"
REFUSED = "webhookd_api_requests_refused_total"
LISTED = {"operation": "listSubscriptions", "status": "200"}


@pytest.fixture(scope="module")
def database_url(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    del postgres_url
    with new_database("postgres", tmp_path_factory.mktemp("metrics")) as url:
        migrating.upgrade(url)
        yield url


@pytest.fixture(scope="module")
def api(database_url: str) -> Iterator[MeasuredApi]:
    with measured_api(database_url) as running:
        running.until_served()
        until(lambda: len(running.workers) == 2, "two worker processes run")
        yield running


def test_requests_of_both_worker_processes_are_summed(api: MeasuredApi) -> None:
    first, second = api.workers
    with api.frozen(first):
        assert [api.ask() for _ in range(3)] == [200] * 3
        assert api.ask("/nothing") == 404
    with api.frozen(second):
        assert [api.ask() for _ in range(4)] == [200] * 4
        assert api.send(b"GET nonsense\r\n\r\n").startswith(b"HTTP/1.1 400")
        assert (
            api.scrape().value(REQUESTS, **LISTED) == 7
        )  # the process that serves reads what the frozen one has written
    scraped = api.scrape()
    assert scraped.value(DURATIONS, operation="listSubscriptions") == 7
    assert scraped.value(REQUESTS, operation="unknown", status="404") == 1
    assert scraped.value(REFUSED, status="400") == 1
    assert scraped.value("webhookd_api_requests_open") == 0
    names = {sample.name for sample in scraped.samples}
    assert {"webhookd_build_info", "process_cpu_seconds_total", "python_gc_collections_total"} <= names


def test_memory_is_that_of_all_processes(api: MeasuredApi) -> None:
    scraped = api.scrape()
    assert scraped.total("process_resident_memory_bytes") > 2 * min(map(resident_bytes, api.workers))
    assert scraped.total("process_open_fds") > sum(map(open_files, api.workers))


def test_after_a_kill_the_successor_serves_and_no_counter_goes_down(api: MeasuredApi) -> None:
    directory = api.directory()
    [address] = api.addresses
    asked = api.scrape().total(REQUESTS, **LISTED)
    for kill in range(1, 4):
        before = counters(api.scrape())
        os.kill(serving(directory), signal.SIGKILL)
        api.until_served(1 + kill)
        after = counters(api.scrape())
        assert {series for series, value in before.items() if after.get(series, 0.0) < value} == set()
        assert api.ask() == 200
        assert api.scrape().value(REQUESTS, **LISTED) == asked + kill
        assert {file.stem.rpartition("_")[2] for file in directory.iterdir()} == {"1", "2"}
    assert set(api.addresses) == {address}


def test_new_worker_processes_after_sighup_go_on_counting_at_the_same_port(api: MeasuredApi) -> None:
    asked, times, started = api.scrape().total(REQUESTS, **LISTED), len(api.addresses), len(api.workers)
    api.process.send(signal.SIGHUP)
    until(lambda: api.process.output.count("Worker exiting") >= 2, "the former worker processes have ended")
    api.until_served(times + 1)
    assert len(api.workers) == started + 2
    assert api.ask() == 200
    assert api.scrape().value(REQUESTS, **LISTED) == asked + 1
    assert len(set(api.addresses)) == 1


def test_files_are_gone_at_the_end_and_those_of_a_killed_api_at_the_next_start(database_url: str) -> None:
    with measured_api(database_url) as killed:
        left = killed.directory()
        # It returns when its output is closed: then the worker processes have ended, too.
        assert killed.process.interrupt(signal.SIGKILL) == -signal.SIGKILL
    with measured_api(database_url) as stopped:
        own = stopped.directory()
        assert not left.exists()
    assert not own.exists()


def test_a_taken_port_stops_nothing(database_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with measured_api(database_url, WEBHOOKD_METRICS_BIND=address) as api:
            api.process.wait_for('"metrics_not_served"')
            assert api.ask() == 200


def test_without_an_address_nothing_is_recorded(database_url: str) -> None:
    with measured_api(database_url, WEBHOOKD_METRICS_BIND="") as api:
        assert api.ask() == 200
        assert api.directories() == []
        assert api.addresses == []


def counters(scraped: Scrape) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """What must not go down, by series; garbage collections are those of the process that serves."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for sample in scraped.samples
        if sample.name.endswith(("_total", "_count", "_bucket", "_sum")) and not sample.name.startswith("python_gc")
    }


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def serving(directory: Path) -> int:
    """The id of the worker process that serves: the first one, then the one that has got its number."""
    return int((directory / "1.pid").read_text(encoding="ascii"))
