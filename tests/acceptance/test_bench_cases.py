"""The benchmark's cases in their short form: each delivers all of its records, once and in order.

Oracles: the benchmark's checking receiver, in a process of its own, and the exit code. No figure is asserted. There
are no fakes: real Kafka, Redis, Postgres, nginx for TLS, and the real processes.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stack import install
from stack.errors import NotStarted

COMMAND = (sys.executable, "-u", "-m", "webhookd_load_test.main")
SHORT = (*COMMAND, "bench", "--short")
PATIENCE_S = 600.0


@pytest.fixture
def nginx() -> Path:
    try:
        return install.require(install.NGINX)
    except NotStarted as reason:
        if os.environ.get("CI") == "true":
            pytest.fail(str(reason), pytrace=False)
        pytest.skip(str(reason))


@pytest.fixture
def environment(kafka_bootstrap: str, redis_url: str, postgres_url: str) -> dict[str, str]:
    addresses = {
        "WEBHOOKD_TEST_KAFKA": kafka_bootstrap,
        "WEBHOOKD_TEST_REDIS": redis_url,
        "WEBHOOKD_TEST_POSTGRES": postgres_url,
    }
    return {**os.environ, **addresses}


@pytest.mark.usefixtures("nginx")
@pytest.mark.parametrize("command", ["bench", "fanout"])
def test_every_case_of_the_benchmark_delivers_in_order(environment: dict[str, str], command: str) -> None:
    short = (*COMMAND, command, "--short")
    ended = subprocess.run(short, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    failed = [line for line in ended.stdout.splitlines() if "FAILED" in line]
    assert failed == []
    assert ended.returncode == 0, ended.stderr


@pytest.mark.usefixtures("nginx")
def test_interrupted_benchmark_leaves_no_process(environment: dict[str, str]) -> None:
    with subprocess.Popen([*SHORT, "batch-1"], env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        started = next((line for line in process.stdout if line.endswith(" batch-1\n")), "")
        children = descendants(process.pid)
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=PATIENCE_S)
    assert started
    assert len(children) > 2
    assert (process.returncode, [pid for pid in children if Path(f"/proc/{pid}").exists()]) == (130, []), rest


def descendants(pid: int) -> set[int]:
    """The processes that a process has started, and those that these have started."""
    listed = [
        child for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]
    return {found for child in map(int, listed) for found in {child, *descendants(child)}}
