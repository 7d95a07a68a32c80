"""Deliveries that workers refuse for lack of a quota: when they are overdue, and what their claim changes."""

from tests.harness.deliveries_in_flight import LEASE_S, Scene, scene
from tests.harness.lanes import TIMEOUTS, about
from webhookd.flow.attempt.attempt_report import ReportKind
from webhookd.flow.dispatch.delivery import DeliveryStage
from webhookd.flow.settlement.in_flight import ReportEffect


def waiting(at: Scene, wait_s: float, now: float) -> ReportEffect:
    report = about(at.delivery, ReportKind.WAITING, wait_s=wait_s, detail="host_limit")
    return at.in_flight.apply(report, now)


def test_refused_delivery_is_not_published_again_while_it_waits() -> None:
    at = scene()
    for now in range(0, 100, 10):
        assert waiting(at, 10.0, float(now)) == ReportEffect()
        assert at.in_flight.overdue(now + 9.9) == ([], [])
    assert at.in_flight.overdue(100.0 + TIMEOUTS.claim_timeout_s - 0.1) == ([], [])
    assert at.in_flight.overdue(100.0 + TIMEOUTS.claim_timeout_s) == ([at.delivery], [])


def test_refused_retry_is_not_lost_while_it_waits() -> None:
    at = scene()
    at.report(ReportKind.RETRY, done=0, now=0.0, wait_s=5.0)
    slack_s = TIMEOUTS.claim_timeout_s + LEASE_S
    for now in range(5, 105, 10):
        waiting(at, 10.0, float(now))
        assert at.in_flight.overdue(now + 9.9) == ([], [])
    assert (at.delivery.stage, at.delivery.early_attempts, at.lane.worker_losses) == (DeliveryStage.RETRYING, 0, 0)
    assert at.in_flight.overdue(105.0 + slack_s) == ([], [at.delivery])


def test_refused_delivery_is_not_yet_claimable() -> None:
    at = scene()
    waiting(at, 30.0, 100.0)
    assert (at.in_flight.oldest_at, at.delivery.unclaimed_s(110.0)) == (130.0, -20.0)


def test_report_of_a_refused_copy_changes_nothing_after_the_claim() -> None:
    at = scene()
    at.report(ReportKind.STARTED, now=3.0)
    waiting(at, 60.0, 4.0)
    assert (at.delivery.stage, at.delivery.due_at) == (DeliveryStage.CLAIMED, 3.0 + LEASE_S)


def test_refused_delivery_that_is_claimed_has_its_lease() -> None:
    at = scene()
    waiting(at, 60.0, 0.0)
    at.report(ReportKind.STARTED, now=60.0)
    assert (at.delivery.refused, at.delivery.due_at) == (False, 60.0 + LEASE_S)
