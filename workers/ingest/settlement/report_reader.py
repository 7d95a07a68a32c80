"""Reads what workers report, on a thread of its own, and hands it to the ingest loop."""

from collections.abc import Callable, Sequence
from threading import Event, Thread
from typing import Protocol

from webhookd import logs
from webhookd.clock import Monotonic, WallClock
from webhookd.errors import QueueUnavailable
from webhookd.flow.attempt.attempt_report import Report, with_plausible_times

WAIT_S = 0.5
BACK_OFF_S = 0.5

LATE_S = 1.5
"""A read that ends so long after the one before it, and all within this time after it, bring reports that had to wait:
Redis was away, or this process did not run."""

_log = logs.get(__name__)


class Reports(Protocol):
    """Where the reports are."""

    def read_reports(self, reply: str, after: str, wait_s: float) -> tuple[list[Report], str]:
        """Those after `after`, and the place of the last. Raises QueueUnavailable."""


class ReportReader:
    """`reported` hears of reports, and whether they are late, on the reader's thread."""

    def __init__(
        self,
        reports: Reports,
        reply: str,
        reported: Callable[[Sequence[Report], bool], None],
        *,
        monotonic: Monotonic,
        wall_clock: WallClock,
    ) -> None:
        self._reports = reports
        self._reply = reply
        self._reported = reported
        self._monotonic = monotonic
        self._wall_clock = wall_clock
        self._after = "0"
        self._read_at = monotonic()
        self._late_until = monotonic()
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="reports", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self, budget_s: float) -> None:
        """End the thread; blocks for at most `budget_s`."""
        self._stopping.set()
        self._thread.join(WAIT_S + budget_s)

    def read(self) -> None:
        """Read once and hand on what there is. Raises QueueUnavailable."""
        found, self._after = self._reports.read_reports(self._reply, self._after, WAIT_S)
        now, before = self._monotonic(), self._read_at
        self._read_at = now
        if now - before > LATE_S:
            self._late_until = now + LATE_S
        if found:
            wall_now = self._wall_clock()
            self._reported([with_plausible_times(report, wall_now) for report in found], now < self._late_until)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.read()
            except QueueUnavailable as error:
                _log.warning("reports_unreadable", code=error.code, detail=error.detail)
                self._stopping.wait(BACK_OFF_S)
            except Exception:  # noqa: BLE001 - the top of the thread: without reports everything would be sent again
                _log.exception("reports_failed")
                self._stopping.wait(BACK_OFF_S)
