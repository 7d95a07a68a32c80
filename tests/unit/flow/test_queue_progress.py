"""Unclaimed deliveries: published again when their task is lost, not while it is still queued."""

import pytest

from tests.harness.lanes import TIMEOUTS, about, accumulator, fill, in_flight_deliveries
from webhookd.flow.attempt.attempt_report import ReportKind
from webhookd.flow.dispatch.delivery import Delivery
from webhookd.flow.settlement.in_flight import InFlightDeliveries
from webhookd.flow.settlement.queue_progress import UNKNOWN_PUBLICATION, QueueProgress

WAIT_S = TIMEOUTS.claim_timeout_s


def queued(count: int) -> tuple[InFlightDeliveries, list[Delivery]]:
    """Deliveries of so many lanes, published one after another at 0.0."""
    made, in_flight = accumulator(count), in_flight_deliveries()
    for number in range(count):
        fill(made, number, [1])
    deliveries = [delivery for lane in made.lanes.values() for delivery in [made._delivery_of(lane)]]
    for delivery in deliveries:
        in_flight.published(delivery, 0.0)
    return in_flight, deliveries


def test_delivery_in_a_moving_queue_is_left() -> None:
    in_flight, (first, second, third) = queued(3)
    in_flight.apply(about(first, ReportKind.STARTED), WAIT_S - 1.0)
    assert in_flight.overdue(WAIT_S)[0] == []
    assert (second.due_at, third.due_at) == (2 * WAIT_S, 2 * WAIT_S)


def test_overtaken_delivery_is_published_again() -> None:
    in_flight, (first, second, third) = queued(3)
    in_flight.apply(about(second, ReportKind.STARTED), WAIT_S - 1.0)
    assert in_flight.overdue(WAIT_S)[0] == [first]
    assert third.due_at == 2 * WAIT_S


def test_stalled_queue_is_published_again_at_growing_intervals() -> None:
    in_flight, (delivery,) = queued(1)
    published, now = [], 0.0
    for _ in range(400):
        now += 1.0
        for late in in_flight.overdue(now)[0]:
            published.append(now)
            in_flight.published(late, now)
    assert published == [10.0, 30.0, 70.0, 150.0, 310.0]
    assert delivery.publications == 6


@pytest.mark.parametrize(("workers_throughput", "copies"), [(0.1, 0), (0.0, 4)])
def test_slow_workers_do_not_lengthen_their_queue(workers_throughput: float, copies: int) -> None:
    """At a tenth of the needed throughput each delivery waits for minutes, and is published once."""
    in_flight, deliveries = queued(20)
    waiting, again = list(deliveries), 0
    for second in range(1, 201):
        if waiting and workers_throughput and second % int(1 / workers_throughput) == 0:
            in_flight.apply(about(waiting.pop(0), ReportKind.STARTED), float(second))
        for late in in_flight.overdue(float(second))[0]:
            in_flight.published(late, float(second))
            again += 1
    assert again == copies * len(deliveries)


def test_queues_are_counted_separately() -> None:
    progress = QueueProgress(WAIT_S)
    first, other = progress.published("first"), progress.published("retry")
    progress.claimed("first", first, 1.0)
    assert (progress.still_queued("first", first + 1, 2.0), progress.still_queued("retry", other, 2.0)) == (True, False)


def test_delivery_at_an_unknown_position_is_not_still_queued() -> None:
    progress = QueueProgress(WAIT_S)
    progress.claimed("first", progress.published("first"), 1.0)
    assert not progress.still_queued("first", UNKNOWN_PUBLICATION, 1.5)


def test_late_claim_of_a_pushed_delivery_says_nothing_about_its_queue() -> None:
    in_flight, (first, second, pushed) = queued(3)
    in_flight.published(pushed, 0.0, pushed=True)
    in_flight.published(pushed, 2.0)  # as a task, because no session has claimed it in time
    in_flight.apply(about(first, ReportKind.STARTED), WAIT_S - 1.0)
    in_flight.apply(about(pushed, ReportKind.STARTED), WAIT_S - 1.0)
    assert in_flight.overdue(WAIT_S)[0] == []
    assert second.due_at == 2 * WAIT_S


def test_claim_of_a_pushed_delivery_does_not_make_a_stalled_queue_move() -> None:
    in_flight, (waiting, pushed) = queued(2)
    in_flight.published(pushed, 0.0, pushed=True)
    in_flight.published(pushed, 2.0)
    in_flight.apply(about(pushed, ReportKind.STARTED), WAIT_S - 1.0)
    assert in_flight.overdue(WAIT_S)[0] == [waiting]
