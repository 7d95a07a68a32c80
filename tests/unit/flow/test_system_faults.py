"""When failed checks of a part become a fault, and the mails to operators. The clock is the test's."""

import pytest

from webhookd import errors
from webhookd.flow.alerting.alert import AlertKind
from webhookd.flow.alerting.incident import NoticeKind
from webhookd.flow.alerting.system_fault_text import MEANING, fault_alert
from webhookd.flow.monitoring.system_faults import FAULT_AFTER_S, FaultChanges, FaultTracker, SystemFault

NOW = 1_700_000_000.0
CODE = "queue_unavailable"


def checks(faults: FaultTracker, *answers: str | None, step_s: float = 2.0) -> list[FaultChanges]:
    return [faults.observe({CODE: answer}, NOW + index * step_s) for index, answer in enumerate(answers)]


def test_short_failure_is_no_fault() -> None:
    faults = FaultTracker()
    assert checks(faults, "away", "away", None, "away", "away", None) == [FaultChanges()] * 6


def test_lasting_failure_is_reported_once() -> None:
    faults = FaultTracker()
    began = [change.began for change in checks(faults, "away", "away", "away", "still away", "still away")]
    assert began == [(), (), (), (SystemFault(code=CODE, detail="still away", since=NOW),), ()]
    assert faults.active == {CODE: SystemFault(code=CODE, detail="still away", since=NOW)}


def test_end_of_a_fault_is_reported_once() -> None:
    faults = FaultTracker()
    ended = [change.ended for change in checks(faults, *["away"] * 4, None, None)]
    assert [len(found) for found in ended] == [0, 0, 0, 0, 1, 0]
    assert (faults.active, faults.healthy_codes) == ({}, frozenset({CODE}))


def test_part_whose_check_could_not_run_keeps_its_state() -> None:
    faults = FaultTracker()
    checks(faults, *["away"] * 4)
    assert faults.observe({}, NOW + 60.0) == FaultChanges()
    assert CODE in faults.active
    assert faults.healthy_codes == frozenset()


def test_failing_part_is_not_healthy_before_it_is_a_fault() -> None:
    faults = FaultTracker()
    checks(faults, None, "away")
    assert (faults.active, faults.healthy_codes) == ({}, frozenset())


def test_clock_set_back_delays_no_fault() -> None:
    faults = FaultTracker()
    faults.observe({CODE: "away"}, NOW)
    faults.observe({CODE: "away"}, NOW - 7200.0)
    assert len(faults.observe({CODE: "away"}, NOW - 7200.0 + FAULT_AFTER_S).began) == 1


def test_missing_workers_get_the_time_to_start() -> None:
    faults = FaultTracker()
    began = [faults.observe({"no_workers": "none"}, NOW + at).began for at in (0.0, 2 * FAULT_AFTER_S, 14.0, 15.0)]
    assert [len(found) for found in began] == [0, 0, 0, 1]


@pytest.mark.parametrize("code", MEANING)
def test_each_fault_has_the_code_of_its_exception(code: str) -> None:
    kinds = [*errors.Unavailable.__subclasses__(), *errors.KafkaUnavailable.__subclasses__()]
    assert code in {kind.code for kind in kinds}


@pytest.mark.parametrize(
    ("notice", "kind", "subject"),
    [
        (NoticeKind.FAILING, AlertKind.FAULT, "[webhookd] system: queue_unavailable"),
        (NoticeKind.STILL_FAILING, AlertKind.FAULT_REMINDER, "[webhookd] system: still queue_unavailable"),
        (NoticeKind.RECOVERED, AlertKind.FAULT_OVER, "[webhookd] system: queue_unavailable is over"),
    ],
)
def test_mail_to_operators_names_the_fault(notice: NoticeKind, kind: AlertKind, subject: str) -> None:
    fault = SystemFault(code=CODE, detail="Connection\nrefused", since=NOW - 60.0)
    alert = fault_alert(notice, fault, ["ops@example.com"], NOW)
    assert (alert.kind, alert.mail.subject, alert.mail.recipients) == (kind, subject, ("ops@example.com",))
    assert "60 s" in alert.mail.body
    assert ("Connection refused" in alert.mail.body) == (notice is not NoticeKind.RECOVERED)


def test_fault_of_a_newer_release_is_mailed() -> None:
    alert = fault_alert(NoticeKind.FAILING, SystemFault(code="new", detail="", since=NOW), ["ops@example.com"], NOW)
    assert "/health" in alert.mail.body
