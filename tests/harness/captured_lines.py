"""What other threads of this process log, for tests that wait for a line."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from structlog.typing import EventDict, WrappedLogger

PATIENCE_S = 20.0


class CapturedLines:
    """The lines since its creation; a processor of structlog."""

    def __init__(self) -> None:
        self._lines: list[EventDict] = []
        self._changed = threading.Condition()

    def __call__(self, _logger: WrappedLogger, method: str, line: EventDict) -> EventDict:
        """Keep a line, and let nobody write it."""
        with self._changed:
            self._lines.append({**line, "log_level": method})
            self._changed.notify_all()
        raise structlog.DropEvent

    def wait_for(self, event: str) -> EventDict:
        """Wait for the first line of an event. Raises AssertionError."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.of(event), PATIENCE_S), f"no {event} in {self._lines}"
            return self.of(event)[0]

    def of(self, event: str) -> list[EventDict]:
        """The lines of an event so far."""
        with self._changed:
            return [line for line in self._lines if line["event"] == event]


@contextmanager
def captured_lines() -> Iterator[CapturedLines]:
    """Keep the lines of all threads in place of writing them."""
    lines = CapturedLines()
    processors = structlog.get_config()["processors"]
    before = processors.copy()
    try:
        processors[:] = [lines]  # in place, as structlog's own `capture_logs`: loggers may have the list already
        yield lines
    finally:
        processors[:] = before
