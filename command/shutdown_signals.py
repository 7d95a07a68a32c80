"""Shutdown of a command by SIGINT, SIGTERM or SIGHUP: the first one is recorded, a second one ends the process at once.

The handler only writes to a pipe: the thread that it interrupts may hold a lock or a condition.
"""

import os
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

SECOND_SIGNAL = "a second signal ends the process at once"
"""What the line `stopping` says."""


class ShutdownSignals:
    """Installs the signal handlers. Create it on the main thread, and call `wait` there."""

    def __init__(self) -> None:
        self.number = 0
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        for number in SIGNALS:
            signal.signal(number, self._handle_signal)

    @property
    def received(self) -> bool:
        """Whether a signal was received."""
        return self.number != 0

    @property
    def exit_code(self) -> int:
        """The exit code that shells expect after that signal; 0 without one."""
        return 128 + self.number if self.number else 0

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for a signal or for `wake`; returns whether a signal was received."""
        if not self.received:
            select.select([self._reader], [], [], timeout_s)
        return self.received

    def wake(self) -> None:
        """End the wait without a signal; any thread."""
        os.write(self._writer, b"!")

    @staticmethod
    def exit_process(exit_code: int) -> NoReturn:
        """End the process at once. Stop everything before; a consumer that hangs in `close` does not block the exit."""
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(exit_code)

    def _handle_signal(self, number: int, _frame: FrameType | None) -> None:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        self.number = number
        os.write(self._writer, b"!")


def end_before_start() -> None:
    """Make SIGTERM end a service with exit code 0 until it installs its own handlers: it has not begun anything yet."""
    signal.signal(signal.SIGTERM, lambda _number, _frame: os._exit(0))


@contextmanager
def quiet_interrupt() -> Iterator[None]:
    """Make Ctrl-C end the process without a traceback in this block, in which modules are imported."""
    before = signal.signal(signal.SIGINT, lambda number, _frame: os._exit(128 + number))
    yield
    signal.signal(signal.SIGINT, before)
