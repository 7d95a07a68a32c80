"""A child process: it ends with this process, writes its output to a file, and is stopped within a time limit."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from stack import lasting_thread
from stack.errors import NotStarted

PARENT_DEATH = Path(__file__).with_name("parent_death.py")
STOP_TIMEOUT_S = 10.0
"""How long a process may take to stop before it is killed; Postgres and Redis take well under a second."""


class Child:
    """A running command in a process group of its own, so that Ctrl-C reaches only this process, which stops it."""

    def __init__(self, process: "subprocess.Popen[bytes]", log_file: Path | None, stop_signal: signal.Signals) -> None:
        self._process = process
        self._stop_signal = stop_signal
        self._log_file = log_file

    @property
    def pid(self) -> int:
        """The id of the process and of its group."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; 128 + signal number, as in a shell, when a signal ended it."""
        code = self._process.poll()
        return 128 - code if code is not None and code < 0 else code

    def wait(self) -> int:
        """Block until it has ended; returns its exit code."""
        self._process.wait()
        return self.exit_code or 0

    def must_succeed(self, what: str) -> None:
        """Block until it has ended. Raises NotStarted with its last lines when it failed."""
        if self.wait() != 0:
            raise NotStarted(f"{what} failed:\n{self.tail()}")

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the whole group, unless the process has ended."""
        if self._process.poll() is None:
            self._signal_group(number)

    def send_alone(self, number: signal.Signals) -> None:
        """Send a signal to the process and not to its group, unless it has ended."""
        if self._process.poll() is None:
            self._process.send_signal(number)

    def freeze(self) -> None:
        """Stop all threads of the group until `thaw`; its sockets stay open."""
        self.send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Continue after `freeze`."""
        self.send(signal.SIGCONT)

    def kill(self) -> None:
        """Kill the whole group and wait for its end."""
        self._signal_group(signal.SIGKILL)
        self._process.wait()

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Send the stop signal (also to a frozen process), wait, then kill what is left of the group."""
        self.send(self._stop_signal)
        self.thaw()
        self.wait_or_kill(timeout_s)

    def wait_or_kill(self, timeout_s: float) -> bool:
        """Wait for the end of one that has been asked to stop, then kill what is left of its group.

        Returns whether it has ended by itself.
        """
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)
        ended = self.exit_code is not None
        self._signal_group(signal.SIGKILL)
        self._process.wait()
        return ended

    def tail(self, line_count: int = 15) -> str:
        """The last lines of its output, for the error message when it did not start."""
        if self._log_file is None or not self._log_file.exists():
            return ""
        return "\n".join(self._log_file.read_text(errors="replace").splitlines()[-line_count:])

    def _signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)


def spawn(
    command: Sequence[str | Path],
    *,
    log_file: Path | None = None,
    output: IO[bytes] | None = None,
    user: str = "",
    environment: Mapping[str, str] | None = None,
    stop_signal: signal.Signals = signal.SIGTERM,
    parent_death_signal: signal.Signals = signal.SIGKILL,
) -> Child:
    """Start a command. With a log file it writes there and runs in that directory, else in this process' directory.

    Without a log file it writes to `output` if given. Any thread can start it, and may end before it.
    The kernel sends it `parent_death_signal` when this process dies: SIGKILL, unless it has to end its own children.
    """
    wrapped_command = [
        sys.executable,
        "-I",
        "-S",
        PARENT_DEATH,
        str(os.getpid()),
        str(int(parent_death_signal)),
        user,
        *command,
    ]
    with contextlib.ExitStack() as files:
        output = files.enter_context(log_file.open("ab")) if log_file else output
        process = lasting_thread.call(
            lambda: subprocess.Popen(
                wrapped_command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if output else None,
                cwd=log_file.parent if log_file else None,
                env=environment,
                process_group=0,
            )
        )
    return Child(process, log_file, stop_signal)
