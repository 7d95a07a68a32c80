"""Folds a subscription's successful calls into one row a second; failures keep rows of their own, up to a bound."""

from dataclasses import dataclass

from webhookd.flow.attempt.attempt_report import LoggedExchange

MAX_FAILURE_ROWS = 1000
"""Rows of failures of one subscription between two flushes; a retry waits seconds, so only many lanes come near."""


@dataclass(frozen=True, slots=True)
class CallRollup:
    """`calls` exchanges of which `exchange` was the last; not yet a row: masking and parsing come off the hot path."""

    exchange: LoggedExchange
    calls: int
    succeeded: bool


class ActivityRollup:
    """What happened since the last flush."""

    __slots__ = ("_failures", "_last", "_successes")

    def __init__(self) -> None:
        self._successes = 0
        self._last: LoggedExchange | None = None
        self._failures: list[CallRollup] = []

    def succeeded(self, calls: int, last: LoggedExchange | None) -> None:
        """So many more calls were acknowledged; `last` shows one of them, if the report carries it."""
        self._successes += calls
        self._last = last or self._last

    def failed(self, exchange: LoggedExchange) -> None:
        """One call failed; past the bound it is counted in the last row, which shows the latest."""
        before = self._failures.pop().calls if len(self._failures) >= MAX_FAILURE_ROWS else 0
        self._failures.append(CallRollup(exchange, before + 1, succeeded=False))

    def flush(self) -> list[CallRollup]:
        """The rows of this second, the folded success last; successes without an example wait for one."""
        calls, self._failures = self._failures, []
        if self._last is not None and self._successes:
            calls.append(CallRollup(self._last, self._successes, succeeded=True))
            self._successes, self._last = 0, None
        return calls
