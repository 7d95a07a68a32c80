"""How a command hears that it should end: SIGINT, SIGTERM or SIGHUP, once; the second one ends the process at once.

The handler writes to a pipe and nothing else: a lock or a condition may be held by the very thread it interrupts.
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


class ShutdownSignals:
    """Made on the main thread, which is the one that waits."""

    def __init__(self) -> None:
        self.number = 0
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        for number in SIGNALS:
            signal.signal(number, self._handle_signal)

    @property
    def received(self) -> bool:
        """Whether there was a signal."""
        return self.number != 0

    @property
    def exit_code(self) -> int:
        """What a shell expects of a command that ended by that signal."""
        return 128 + self.number if self.number else 0

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for a signal, or to be woken; answers whether there was a signal."""
        if not self.received:
            select.select([self._reader], [], [], timeout_s)
        return self.received

    def wake(self) -> None:
        """End the wait without a signal; from any thread."""
        os.write(self._writer, b"!")

    @staticmethod
    def exit_process(exit_code: int) -> NoReturn:
        """End the process, after all was stopped and said: a consumer that Kafka does not let go must not hold it."""
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(exit_code)

    def _handle_signal(self, number: int, _frame: FrameType | None) -> None:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        self.number = number
        os.write(self._writer, b"!")


@contextmanager
def leaving_quietly() -> Iterator[None]:
    """While a command's modules are imported nothing has been started: Ctrl-C ends the process, and says nothing."""
    before = signal.signal(signal.SIGINT, lambda number, _frame: os._exit(128 + number))
    yield
    signal.signal(signal.SIGINT, before)
