"""`python -m stack run`: what a command is given, what it answers, and that nothing outlives it.

Oracles: the processes the kernel lists. Real: the stack, its signals, a Redis server. Given instead of started: Kafka
and Postgres, by addresses that nobody asks (they take seconds and add nothing here).
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack import install
from stack.child import PARENT_DEATH

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 20.0

pytestmark = pytest.mark.skipif(
    install.find(install.REDIS_SERVER) is None, reason="no redis-server to start: apt-get install redis-server"
)

REPORTS_AND_WAITS = """
import os, subprocess, sys, threading
hidden = subprocess.Popen(["sleep", "600"], start_new_session=True)
print("ready", os.environ["WEBHOOKD_TEST_REDIS"], os.getpid(), hidden.pid, flush=True)
threading.Event().wait(600)
"""


class Run:
    """A started `stack run` whose command has said that it runs."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        assert process.stdout
        said = next(line for line in process.stdout if line.startswith("ready"))
        _, self.redis_url, *pids = said.split()
        self.command_pids = [int(pid) for pid in pids]
        self.redis_pid = next(pid for pid in children_of(process.pid) if "redis" in command_of(pid))

    @property
    def pids(self) -> list[int]:
        return [*self.command_pids, self.redis_pid]


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


def is_running(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def all_end(pids: list[int]) -> bool:
    deadline = time.monotonic() + DEADLINE_S
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(map(is_running, pids))


def start(*command: str, **environment: str) -> "subprocess.Popen[str]":
    given = {"WEBHOOKD_TEST_KAFKA": "kafka:1", "WEBHOOKD_TEST_POSTGRES": "postgresql://given"}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("WEBHOOKD_TEST_")}
    return subprocess.Popen(
        [sys.executable, "-m", "stack", "run", "--", *command],
        cwd=ROOT,
        env={**inherited, **given, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    with start(sys.executable, "-c", REPORTS_AND_WAITS, TMPDIR=str(tmp_path)) as process:
        run = Run(process)
        yield run
        process.kill()
        for pid in filter(is_running, run.pids):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_signal_leaves_nothing_running(run: Run, number: signal.Signals) -> None:
    run.process.send_signal(number)
    assert run.process.wait(DEADLINE_S) == 128 + number
    assert not any(map(is_running, run.pids))


def test_killed_run_takes_command_and_services_along(run: Run) -> None:
    run.process.kill()
    assert all_end([run.command_pids[0], run.redis_pid])


def test_services_outlive_no_command() -> None:
    with start(sys.executable, "-c", "import os; print(os.environ['WEBHOOKD_TEST_REDIS'])") as process:
        output, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0
    assert "redis://127.0.0.1:" in output


def test_commands_exit_code_is_the_answer() -> None:
    with start("false", WEBHOOKD_TEST_REDIS="redis://given") as process:
        assert process.wait(DEADLINE_S) == 1


def test_given_services_are_used_not_started() -> None:
    with start("sh", "-c", "echo $WEBHOOKD_TEST_REDIS", WEBHOOKD_TEST_REDIS="redis://given") as process:
        output, _ = process.communicate(timeout=DEADLINE_S)
    assert output == "redis://given\n"


def test_parent_death_signal_refuses_a_parent_that_has_ended() -> None:
    somebody_elses = str(os.getppid())
    with subprocess.Popen(
        [sys.executable, PARENT_DEATH, somebody_elses, str(int(signal.SIGKILL)), "", "true"]
    ) as process:
        assert process.wait(DEADLINE_S) == 1
