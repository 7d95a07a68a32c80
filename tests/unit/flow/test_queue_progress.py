"""Deliveries nobody claims: published again when their task is lost, left alone while their queue comes to them."""

import pytest

from tests.harness.lanes import LEASES, about, accumulator, dispatches, fill
from webhookd.flow.attempt.attempt_report import ReportKind
from webhookd.flow.dispatch.delivery import Delivery
from webhookd.flow.settlement.in_flight import InFlightDeliveries
from webhookd.flow.settlement.queue_progress import NO_TURN, QueueProgress

WAIT_S = LEASES.claim_timeout_s


def queued(count: int) -> tuple[InFlightDeliveries, list[Delivery]]:
    """So many lanes' deliveries, published one after another at 0.0."""
    made, flying = accumulator(count), dispatches()
    for number in range(count):
        fill(made, number, [1])
    deliveries = [delivery for lane in made.lanes.values() for delivery in [made._delivery_of(lane)]]
    for delivery in deliveries:
        flying.published(delivery, 0.0)
    return flying, deliveries


def test_queue_that_moves_is_waited_for() -> None:
    flying, (first, second, third) = queued(3)
    flying.report(about(first, ReportKind.STARTED), WAIT_S - 1.0)
    assert flying.overdue(WAIT_S)[0] == []
    assert (second.due_at, third.due_at) == (2 * WAIT_S, 2 * WAIT_S)


def test_delivery_that_was_overtaken_is_published_again() -> None:
    flying, (first, second, third) = queued(3)
    flying.report(about(second, ReportKind.STARTED), WAIT_S - 1.0)
    assert flying.overdue(WAIT_S)[0] == [first]
    assert third.due_at == 2 * WAIT_S


def test_queue_that_stands_still_is_published_again_at_growing_intervals() -> None:
    flying, (delivery,) = queued(1)
    published, now = [], 0.0
    for _ in range(400):
        now += 1.0
        for late in flying.overdue(now)[0]:
            published.append(now)
            flying.published(late, now)
    assert published == [10.0, 30.0, 70.0, 150.0, 310.0]
    assert delivery.publications == 6


@pytest.mark.parametrize(("workers_throughput", "copies"), [(0.1, 0), (0.0, 4)])
def test_slow_workers_do_not_lengthen_their_queue(workers_throughput: float, copies: int) -> None:
    """At a tenth of the needed pace each delivery waits for minutes, and is published once."""
    flying, deliveries = queued(20)
    waiting, again = list(deliveries), 0
    for second in range(1, 201):
        if waiting and workers_throughput and second % int(1 / workers_throughput) == 0:
            flying.report(about(waiting.pop(0), ReportKind.STARTED), float(second))
        for late in flying.overdue(float(second))[0]:
            flying.published(late, float(second))
            again += 1
    assert again == copies * len(deliveries)


def test_queues_move_on_their_own() -> None:
    turns = QueueProgress(WAIT_S)
    first, other = turns.next("first"), turns.next("retry")
    turns.came("first", first, 1.0)
    assert (turns.comes("first", first + 1, 2.0), turns.comes("retry", other, 2.0)) == (True, False)


def test_delivery_that_may_not_have_left_has_no_turn() -> None:
    turns = QueueProgress(WAIT_S)
    turns.came("first", turns.next("first"), 1.0)
    assert not turns.comes("first", NO_TURN, 1.5)
