"""Reads the reports of workers on a thread of its own and passes them to the ingest loop."""

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
"""If two reads are further apart than this, Redis was down or this process did not run. Then the reports of the next
read, and those within as long after it, count as late."""

_log = logs.get(__name__)


class Reports(Protocol):
    """The reports that workers send to this process."""

    def read_reports(self, reply: str, after: str, wait_s: float) -> tuple[list[Report], str]:
        """Return the reports after `after`, and the position of the last. Blocks; raises QueueUnavailable."""


class ReportReader:
    """One thread; it calls `reported` with reports and whether they are late."""

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
        """Start the thread."""
        self._thread.start()

    def stop(self, budget_s: float) -> None:
        """End the thread; blocks for at most `budget_s`."""
        self._stopping.set()
        self._thread.join(WAIT_S + budget_s)

    def read(self) -> None:
        """Read once and pass the reports on. Raises QueueUnavailable."""
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
            except Exception:  # noqa: BLE001 - the top of the thread: without reports all deliveries would be sent again
                _log.exception("reports_failed")
                self._stopping.wait(BACK_OFF_S)
