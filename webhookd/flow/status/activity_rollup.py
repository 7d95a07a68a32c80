"""Combines a subscription's successful calls into one row a second; each failure keeps its own row, up to a bound."""

from dataclasses import dataclass

from webhookd.flow.attempt.attempt_report import LoggedExchange

MAX_FAILURE_ROWS = 1000
"""The bound on failure rows of one subscription between two flushes. Retries wait for seconds, so only a subscription
with many lanes reaches it."""


@dataclass(frozen=True, slots=True)
class CallRollup:
    """`calls` exchanges, of which `exchange` was the last. It is masked and parsed later, outside the hot path."""

    exchange: LoggedExchange
    calls: int
    succeeded: bool


class ActivityRollup:
    """The calls since the last flush."""

    __slots__ = ("_failures", "_last", "_successes")

    def __init__(self) -> None:
        self._successes = 0
        self._last: LoggedExchange | None = None
        self._failures: list[CallRollup] = []

    def succeeded(self, calls: int, last: LoggedExchange | None) -> None:
        """Add acknowledged calls; `last` is one of them as an example, None when the report has none."""
        self._successes += calls
        self._last = last or self._last

    def failed(self, exchange: LoggedExchange) -> None:
        """Add a failed call; above the bound it replaces the last row, which counts it too."""
        before = self._failures.pop().calls if len(self._failures) >= MAX_FAILURE_ROWS else 0
        self._failures.append(CallRollup(exchange, before + 1, succeeded=False))

    def flush(self) -> list[CallRollup]:
        """Return the rows since the last flush, successes last; successes without an example wait for the next one."""
        calls, self._failures = self._failures, []
        if self._last is not None and self._successes:
            calls.append(CallRollup(self._last, self._successes, succeeded=True))
            self._successes, self._last = 0, None
        return calls
