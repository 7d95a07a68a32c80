"""One started process: leashed to this one, its output in a file, stopped with a bound."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from stack.errors import NotStarted

PARENT_DEATH = Path(__file__).with_name("parent_death.py")
STOP_TIMEOUT_S = 10.0
"""What a process gets to stop by itself before it is killed; Postgres and Redis take well under a second."""


class Child:
    """A running command in a process group of its own, so that a Ctrl-C reaches only the one who cleans up.

    Start it from the main thread: the kernel ties the leash to the thread that forked.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", log_file: Path | None, stop_signal: signal.Signals) -> None:
        self._process = process
        self._stop_signal = stop_signal
        self._log_file = log_file

    @property
    def pid(self) -> int:
        """The process' id, and its group's."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; as a shell would say it when a signal ended it."""
        code = self._process.poll()
        return 128 - code if code is not None and code < 0 else code

    def wait(self) -> int:
        """Block until it has ended by itself; answers its exit code."""
        self._process.wait()
        return self.exit_code or 0

    def must_succeed(self, what: str) -> None:
        """Block until it has ended; NotStarted with its last lines when it failed."""
        if self.wait() != 0:
            raise NotStarted(f"{what} failed:\n{self.tail()}")

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the whole group; one that has ended is left alone."""
        if self._process.poll() is None:
            self._signal_group(number)

    def freeze(self) -> None:
        """Let no thread of the group run until `thaw`; its sockets stay open and silent."""
        self.send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on from where it was."""
        self.send(signal.SIGCONT)

    def kill(self) -> None:
        """End the whole group at once, and wait for that."""
        self._signal_group(signal.SIGKILL)
        self._process.wait()

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Ask it to stop (also when it is frozen), wait, then kill it and what is left of its group."""
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
        """The last lines it wrote, for the message when it did not come up."""
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
    """Start a command; with a log file it writes there and works in that directory, else where this process does.

    Without a log file it writes to `output` if given.

    `leash_signal` is what it gets when this process dies without a word: SIGKILL unless it has children of its own to
    take along.
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
        process = subprocess.Popen(
            wrapped_command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if output else None,
            cwd=log_file.parent if log_file else None,
            env=environment,
            process_group=0,
        )
    return Child(process, log_file, stop_signal)
