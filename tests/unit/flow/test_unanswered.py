"""Since when the oldest delivery in flight has had no answer. The clock is the test's."""

from math import inf

from tests.harness.lanes import FAILED, about, accumulator, dispatches, fill
from webhookd.flow.attempt.attempt_report import ReportKind
from webhookd.flow.dispatch.delivery import Delivery
from webhookd.flow.settlement.in_flight import InFlightDeliveries


def in_flight(*published_at: float) -> tuple[InFlightDeliveries, list[Delivery]]:
    made, flying = accumulator(len(published_at)), dispatches()
    for number in range(len(published_at)):
        fill(made, number, range(4))
    deliveries = sorted(made.ready(0.0), key=lambda delivery: delivery.lanes[0].name)
    for delivery, at in zip(deliveries, published_at, strict=True):
        flying.published(delivery, at)
    return flying, deliveries


def test_nothing_in_flight_waits_for_no_answer() -> None:
    assert dispatches().oldest_at == inf


def test_oldest_is_the_one_published_first() -> None:
    flying, _ = in_flight(7.0, 3.0, 5.0)
    assert flying.oldest_at == 3.0


def test_publishing_again_makes_it_no_younger() -> None:
    flying, deliveries = in_flight(3.0)
    flying.published(deliveries[0], 20.0)
    flying.report(about(deliveries[0], ReportKind.STARTED), 21.0)
    assert flying.oldest_at == 3.0


def test_settled_delivery_is_not_counted() -> None:
    flying, deliveries = in_flight(3.0, 5.0)
    flying.report(about(deliveries[0], ReportKind.FINISHED, done=4), 6.0)
    assert flying.oldest_at == 5.0


def test_retry_has_no_answer_only_once_it_is_due() -> None:
    flying, deliveries = in_flight(3.0)
    flying.report(about(deliveries[0], ReportKind.RETRY, wait_s=900.0, failure=FAILED), 6.0)
    assert flying.oldest_at == 906.0
