"""Which reports had to wait before ingest could read them. The clock is in the test's hand, and so are the reports."""

from collections.abc import Sequence

import pytest

from webhookd.errors import QueueUnavailable
from webhookd.flow.attempt.attempt_report import Report, ReportKind
from workers.ingest.settlement.report_reader import LATE_S, ReportReader

REPORT = Report(ReportKind.STARTED, "delivery", 0)


class Site:
    """A reader; each read takes as long as the test says."""

    def __init__(self) -> None:
        self.now = 100.0
        self.takes_s = 0.1
        self.away = False
        self.heard: list[bool] = []
        self.kafka_consumer = ReportReader(
            self, "member", self._reported, monotonic=lambda: self.now, wall_clock=lambda: 0.0
        )

    def read_reports(self, reply: str, after: str, wait_s: float) -> tuple[list[Report], str]:
        assert (reply, wait_s > 0) == ("member", True)
        self.now += self.takes_s
        if self.away:
            raise QueueUnavailable
        return [REPORT], after

    def _reported(self, reports: Sequence[Report], late: bool) -> None:
        assert list(reports) == [REPORT]
        self.heard.append(late)

    def read(self, takes_s: float) -> None:
        self.takes_s = takes_s
        self.kafka_consumer.read()


def test_reports_read_all_the_time_are_not_late() -> None:
    site = Site()
    for _ in range(3):
        site.read(0.5)
    assert site.heard == [False, False, False]


def test_reports_after_a_gap_are_late_for_a_while() -> None:
    site = Site()
    site.read(20.0)
    site.read(LATE_S / 2)
    site.read(LATE_S)
    assert site.heard == [True, True, False]


def test_time_in_which_redis_was_away_is_a_gap() -> None:
    site = Site()
    site.away = True
    for _ in range(4):
        with pytest.raises(QueueUnavailable):
            site.read(0.5)
    site.away = False
    site.read(0.1)
    assert site.heard == [True]
