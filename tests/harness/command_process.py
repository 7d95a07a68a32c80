"""Runs a `webhookd` command as a process in its own session, so that a test finds the processes it leaves behind."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.harness.slow_iterations import stuck_iterations

PATIENCE_S = 45.0
ROOT = Path(__file__).resolve().parents[2]


class CommandProcess:
    """A context that runs the command, and kills it on exit if it still runs. Output and errors are one text.

    AssertionError at the end when its ingest loop was stuck for a second.
    """

    def __init__(
        self,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        python: tuple[str, ...] = (),
        wrapper: tuple[str, ...] = (),
    ) -> None:
        self._lines: list[str] = []
        self._ended = False
        self._changed = threading.Condition()
        self._process = subprocess.Popen(
            [*wrapper, sys.executable, "-u", "-X", "faulthandler", *python, "-m", "command.main", *arguments],
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        """Start to read its output."""
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        if self._process.stdout is not None:
            self._process.stdout.close()
        stuck = stuck_iterations(self.output)
        assert not stuck or kind is not None, "\n".join(stuck)

    @property
    def output(self) -> str:
        """Its output so far."""
        with self._changed:
            return "".join(self._lines)

    @property
    def exit_code(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._process.poll()

    def wait_for(self, text: str) -> str:
        """Wait for the first line that contains `text`. Raises AssertionError when it ends or the time is up before."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or any(text in line for line in self._lines), PATIENCE_S)
            found = [line for line in self._lines if text in line]
        assert found, f"{text!r} is not in the output:\n{self.output}"
        return found[0]

    def wait(self) -> int:
        """Wait for its end; returns its exit code when all output has been read."""
        try:
            code = self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGABRT)  # faulthandler prints the stack of each thread
            self._process.wait(PATIENCE_S)
            self._reader.join(PATIENCE_S)
            raise AssertionError(f"has not ended:\n{self.output}") from None
        self._reader.join(PATIENCE_S)
        return code

    def send(self, number: signal.Signals) -> None:
        """Send a signal; does not wait."""
        self._process.send_signal(number)

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send a signal and wait for its end; returns its exit code."""
        self._process.send_signal(number)
        return self.wait()

    def left_behind(self) -> list[int]:
        """The ids of processes of its session that still run."""
        return [pid for pid in _process_ids() if _session_of(pid) == self._process.pid]

    def _read(self) -> None:
        for line in self._process.stdout or ():
            with self._changed:
                self._lines.append(line)
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()


def _process_ids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _session_of(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0
