"""The clock that all processes share, as this process knows it: the board's, which is Redis'.

It is asked every ten seconds at most, and counted on by the monotonic clock in between: no machine's time of day is in
it. A process that cannot ask goes on counting.
"""

from collections.abc import Callable

from webhookd import logs
from webhookd.clock import Monotonic
from webhookd.errors import QueueUnavailable

ASK_S = 10.0

_log = logs.get(__name__)


class CoordinationClock:
    """Read from any thread; at times that takes a round trip to the board."""

    def __init__(self, ask: Callable[[], float], monotonic: Monotonic) -> None:
        self._ask = ask
        self._monotonic = monotonic
        self._ask_at = float("-inf")
        self._ahead_s: float | None = None

    def now(self) -> float | None:
        """Seconds since whenever; None as long as the board has never answered."""
        asked_at = self._monotonic()
        if asked_at >= self._ask_at:
            self._ask_at = asked_at + ASK_S
            self._look(asked_at)
        return None if self._ahead_s is None else self._monotonic() + self._ahead_s

    def _look(self, asked_at: float) -> None:
        try:
            told = self._ask()
        except QueueUnavailable as error:
            _log.warning("clock_not_read", code=error.code, detail=error.detail)
        else:
            self._ahead_s = told - (asked_at + self._monotonic()) / 2
