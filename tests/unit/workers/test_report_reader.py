"""Which reports count as late for ingest. The clock and the reports are the test's."""

from collections.abc import Sequence

import pytest

from webhookd.errors import QueueUnavailable
from webhookd.flow.attempt.attempt_report import Report, ReportKind
from workers.ingest.settlement.report_reader import LATE_S, ReportReader

REPORT = Report(ReportKind.STARTED, "delivery", 0)


class Site:
    """A reader; the test sets how long each read takes."""

    def __init__(self) -> None:
        self.now = 100.0
        self.takes_s = 0.1
        self.down = False
        self.late: list[bool] = []
        self.reader = ReportReader(self, "member", self._reported, monotonic=lambda: self.now, wall_clock=lambda: 0.0)

    def read_reports(self, reply: str, after: str, wait_s: float) -> tuple[list[Report], str]:
        assert (reply, wait_s > 0) == ("member", True)
        self.now += self.takes_s
        if self.down:
            raise QueueUnavailable
        return [REPORT], after

    def _reported(self, reports: Sequence[Report], late: bool) -> None:
        assert list(reports) == [REPORT]
        self.late.append(late)

    def read(self, takes_s: float) -> None:
        self.takes_s = takes_s
        self.reader.read()


def test_reports_read_without_a_gap_are_not_late() -> None:
    site = Site()
    for _ in range(3):
        site.read(0.5)
    assert site.late == [False, False, False]


def test_reports_after_a_gap_are_late_for_a_while() -> None:
    site = Site()
    site.read(20.0)
    site.read(LATE_S / 2)
    site.read(LATE_S)
    assert site.late == [True, True, False]


def test_time_in_which_redis_was_down_is_a_gap() -> None:
    site = Site()
    site.down = True
    for _ in range(4):
        with pytest.raises(QueueUnavailable):
            site.read(0.5)
    site.down = False
    site.read(0.1)
    assert site.late == [True]
