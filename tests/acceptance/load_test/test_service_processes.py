"""Worker processes are scaled and killed. Oracles: the kernel's processes, and the events in the workers' logs.

Real: the workers, Kafka, Redis and Postgres.
"""

import os
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.errors import ChangeRefused, NotChanged
from tests.harness.databases import new_database
from tests.harness.pipeline import until
from tests.harness.secret_keys import KEY
from webhookd_load_test.cluster.service_processes import ServiceProcesses


@pytest.fixture
def environment(kafka_bootstrap: str, redis_url: str, postgres_url: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    del postgres_url  # `new_database` is on it
    with new_database("postgres", tmp_path, tables=True) as database:
        yield {
            **os.environ,
            "WEBHOOKD_KAFKA_BOOTSTRAP_SERVERS": kafka_bootstrap,
            "WEBHOOKD_REDIS_URL": redis_url,
            "WEBHOOKD_REDIS_KEY_PREFIX": f"test-{uuid.uuid4().hex}:",
            "WEBHOOKD_DATABASE_URL": database,
            "WEBHOOKD_METRICS_BIND": "127.0.0.1:0",
            "WEBHOOKD_SECRET_KEYS": KEY,
        }


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def ready(logs: Path, name: str, times: int) -> bool:
    log = logs / f"{name}.log"
    return log.exists() and log.read_text().count('"event":"worker_ready"') >= times


def test_workers_are_scaled_killed_and_started_again(environment: dict[str, str], tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    with ServiceProcesses("worker", environment=environment, logs=logs, arguments=["--threads", "1"]) as workers:
        scaler = threading.Thread(target=workers.scale, args=[2])  # as a timeline does, whose thread ends
        scaler.start()
        scaler.join()
        until(lambda: ready(logs, "worker-0", 1) and ready(logs, "worker-1", 1), "both are ready")
        first = workers.pids
        assert list(first) == ["worker-0", "worker-1"]

        start_again = workers.kill_one()
        assert workers.pids == {"worker-1": first["worker-1"]}
        assert not alive(first["worker-0"])
        workers.check_running()

        start_again()
        until(lambda: ready(logs, "worker-0", 2), "it is ready again")
        assert workers.pids["worker-0"] != first["worker-0"]

        workers.scale(1)
        assert list(workers.pids) == ["worker-0"]
        assert not alive(first["worker-1"])
        last = workers.pids["worker-0"]
    assert not alive(last)
    assert workers.pids == {}
    for name in ("worker-0", "worker-1"):
        assert '"event":"stopped"' in (logs / f"{name}.log").read_text()
    with pytest.raises(ChangeRefused, match="no worker process runs"):
        workers.kill_one()


def test_worker_that_ended_by_itself_is_reported_with_its_last_lines(tmp_path: Path) -> None:
    with ServiceProcesses("worker", environment=os.environ, logs=tmp_path, arguments=["--threads", "0"]) as workers:
        workers.scale(1)
        until(lambda: not running(workers), "it has ended")
        with pytest.raises(NotChanged, match=r"worker-0 has ended with exit code 2:\n(.*\n)*.*--threads"):
            workers.check_running()


def running(workers: ServiceProcesses) -> bool:
    try:
        workers.check_running()
    except NotChanged:
        return False
    return True
