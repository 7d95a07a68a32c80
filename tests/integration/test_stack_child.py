"""Children of the stack and the thread that starts them. Oracle: exit codes; the processes are real."""

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stack import lasting_thread
from stack.child import Child, spawn

DEADLINE_S = 30.0
SAYS_READY = "import signal; print('ready', flush=True); signal.pause()"


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[tuple[Child, threading.Thread]]:
    """A running child, and the thread that started it, which has ended."""
    children: list[Child] = []
    log = tmp_path / "child.log"

    def start_and_end() -> None:
        children.append(spawn([sys.executable, "-c", SAYS_READY], log_file=log))
        until(lambda: log.read_text() == "ready\n")  # the child asks for the signal only after its start

    thread = threading.Thread(target=start_and_end)
    thread.start()
    thread.join()
    yield children[0], thread
    children[0].kill()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a parent-death signal")
def test_child_outlives_the_thread_that_started_it(started: tuple[Child, threading.Thread]) -> None:
    child, thread = started
    until(lambda: not Path(f"/proc/self/task/{thread.native_id}").exists())
    child.send(signal.SIGTERM)
    assert child.wait() == 128 + signal.SIGTERM


def test_main_thread_starts_children_itself() -> None:
    assert lasting_thread.call(threading.current_thread) is threading.main_thread()
