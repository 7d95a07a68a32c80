"""Since when the oldest delivery in flight has waited for a worker's report. The test sets the times."""

from math import inf

from tests.harness.lanes import FAILED, about, accumulator, fill, in_flight_deliveries
from webhookd.flow.attempt.attempt_report import ReportKind
from webhookd.flow.dispatch.delivery import Delivery
from webhookd.flow.settlement.in_flight import InFlightDeliveries


def publish_at(*published_at: float) -> tuple[InFlightDeliveries, list[Delivery]]:
    made, in_flight = accumulator(len(published_at)), in_flight_deliveries()
    for number in range(len(published_at)):
        fill(made, number, range(4))
    deliveries = sorted(made.ready(0.0), key=lambda delivery: delivery.lanes[0].name)
    for delivery, at in zip(deliveries, published_at, strict=True):
        in_flight.published(delivery, at)
    return in_flight, deliveries


def test_nothing_in_flight_has_no_oldest() -> None:
    assert in_flight_deliveries().oldest_at == inf


def test_oldest_is_the_one_published_first() -> None:
    in_flight, _ = publish_at(7.0, 3.0, 5.0)
    assert in_flight.oldest_at == 3.0


def test_publishing_again_keeps_the_first_time() -> None:
    in_flight, deliveries = publish_at(3.0)
    in_flight.published(deliveries[0], 20.0)
    in_flight.apply(about(deliveries[0], ReportKind.STARTED), 21.0)
    assert in_flight.oldest_at == 3.0


def test_settled_delivery_is_not_counted() -> None:
    in_flight, deliveries = publish_at(3.0, 5.0)
    in_flight.apply(about(deliveries[0], ReportKind.FINISHED, done=4), 6.0)
    assert in_flight.oldest_at == 5.0


def test_retry_counts_from_its_due_time() -> None:
    in_flight, deliveries = publish_at(3.0)
    in_flight.apply(about(deliveries[0], ReportKind.RETRY, wait_s=900.0, failure=FAILED), 6.0)
    assert in_flight.oldest_at == 906.0
