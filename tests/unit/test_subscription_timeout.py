"""The timeout of a subscription replaces the operator's deadline, for its requests and for its leases."""

from dataclasses import replace

import pytest

from tests.harness.delivery_senders import LIMITS, SenderScene
from tests.harness.lanes import TIMEOUTS, accumulator, fill, in_flight_deliveries
from webhookd.flow.attempt.attempt_report import Report, ReportKind
from webhookd.flow.destination import LONGEST_TIMEOUT_S, RequestLimits
from webhookd.flow.dispatch.delivery import Delivery
from webhookd.flow.settlement.in_flight import InFlightDeliveries
from workers.delivery.send_limits import SendLimits

OWN_S = 40.0


def claimed(timeout_s: float | None, kind: ReportKind = ReportKind.STARTED) -> tuple[InFlightDeliveries, Delivery]:
    """A delivery of a subscription with this timeout that a worker has claimed at 0.0."""
    made, in_flight = accumulator(), in_flight_deliveries()
    made.subscription = replace(made.subscription, limits=RequestLimits(timeout_s=timeout_s))
    fill(made, 0, [0])
    (delivery,) = made.ready(99.0)
    in_flight.published(delivery, 0.0)
    in_flight.apply(Report(ReportKind.STARTED, delivery.id, 0), 0.0)
    if kind is not ReportKind.STARTED:
        in_flight.apply(Report(kind, delivery.id, 0, wait_s=100.0), 0.0)
    return in_flight, delivery


@pytest.mark.parametrize(("own_s", "deadline_s"), [(None, TIMEOUTS.request_deadline_s), (1.0, 1.0), (OWN_S, OWN_S)])
def test_claimed_delivery_is_lost_after_lease_and_timeout(own_s: float | None, deadline_s: float) -> None:
    in_flight, delivery = claimed(own_s)
    assert in_flight.overdue(TIMEOUTS.lease_s + deadline_s - 0.1) == ([], [])
    assert in_flight.overdue(TIMEOUTS.lease_s + deadline_s) == ([], [delivery])


def test_retry_is_lost_after_its_wait_and_the_same() -> None:
    in_flight, delivery = claimed(OWN_S, ReportKind.RETRY)
    lost_at = 100.0 + TIMEOUTS.claim_timeout_s + TIMEOUTS.lease_s + OWN_S
    assert in_flight.overdue(lost_at - 0.1)[1] == []
    assert in_flight.overdue(lost_at)[1] == [delivery]


@pytest.mark.parametrize(("own_s", "deadline_s"), [(None, TIMEOUTS.request_deadline_s), (OWN_S, OWN_S)])
def test_superseded_delivery_may_be_sent_as_long(own_s: float | None, deadline_s: float) -> None:
    in_flight, delivery = claimed(own_s)
    in_flight.superseded.add(delivery, 0.0)
    in_flight.superseded.reported(Report(ReportKind.PROGRESS, delivery.id, 0), 1.0)
    assert in_flight.superseded.under_way(1.0 + TIMEOUTS.lease_s + deadline_s - 0.1) == {delivery.id}
    assert in_flight.superseded.under_way(1.0 + TIMEOUTS.lease_s + deadline_s) == frozenset()


def test_unknown_superseded_delivery_may_be_sent_for_the_longest_timeout() -> None:
    in_flight, _ = claimed(None)
    in_flight.superseded.reported(Report(ReportKind.STARTED, "unknown", 0), 0.0)
    assert in_flight.superseded.under_way(TIMEOUTS.lease_s + LONGEST_TIMEOUT_S - 0.1) == {"unknown"}


def test_request_has_the_timeout_of_its_subscription() -> None:
    senders = SenderScene()
    assert senders.sender().deadline_s == LIMITS.deadline_s
    senders.template = replace(senders.template, timeout_s=OWN_S)
    assert senders.sender().deadline_s == OWN_S


@pytest.mark.parametrize(("operators_s", "longest_s"), [(15.0, LONGEST_TIMEOUT_S), (600.0, 600.0)])
def test_sender_is_lost_after_the_longest_timeout(operators_s: float, longest_s: float) -> None:
    limits = SendLimits(budget_s=0.5, deadline_s=operators_s, lease_s=5.0)
    assert limits.lost_after_s == 0.5 + 2 * (operators_s + longest_s) + 10.0 + 5.0, "two tokens and two requests"
