"""The clock that all processes share: the clock of the coordination store (of Redis).

It is read at most every ten seconds. Between two readings the process adds the time of its monotonic clock, so its wall
clock is not used. While the store cannot be read, the last reading stays in use.
"""

from collections.abc import Callable

from webhookd import logs
from webhookd.clock import Monotonic
from webhookd.errors import QueueUnavailable

READ_INTERVAL_S = 10.0

_log = logs.get(__name__)


class CoordinationClock:
    """Thread-safe. `read` returns the time of the coordination store, in seconds; it may raise QueueUnavailable."""

    def __init__(self, read: Callable[[], float], monotonic: Monotonic) -> None:
        self._read = read
        self._monotonic = monotonic
        self._next_read_at = float("-inf")
        self._ahead_s: float | None = None

    def now(self) -> float | None:
        """Return seconds by the shared clock; None before its first reading. A reading blocks for a round trip."""
        now = self._monotonic()
        if now >= self._next_read_at:
            self._next_read_at = now + READ_INTERVAL_S
            self._update(now)
        return None if self._ahead_s is None else self._monotonic() + self._ahead_s

    def _update(self, now: float) -> None:
        try:
            time = self._read()
        except QueueUnavailable as error:
            _log.warning("shared_clock_unreadable", code=error.code, detail=error.detail)
        else:
            self._ahead_s = time - (now + self._monotonic()) / 2
