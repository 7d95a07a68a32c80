"""A retry that begins too early, because a clock is wrong, uses up no attempt. The test moves the time."""

import pytest

from tests.harness.lanes import FAILED, about, accumulator, fill, in_flight_deliveries, lane_of
from webhookd.flow.attempt.attempt_report import ReportKind
from webhookd.flow.batching.circuit_breaker import CircuitState
from webhookd.flow.dispatch.accumulator import BatchAccumulator
from webhookd.flow.dispatch.delivery import Delivery
from webhookd.flow.settlement.in_flight import InFlightDeliveries, ReportEffect
from webhookd.flow.subscription import OnExhausted

WAIT_S = 30.0


class Scene:
    """A lane with one record, whose delivery was published at 0."""

    def __init__(self, on_exhausted: OnExhausted = OnExhausted.PAUSE) -> None:
        self.accumulator: BatchAccumulator = accumulator(on_exhausted=on_exhausted)
        self.in_flight: InFlightDeliveries = in_flight_deliveries()
        self.now = 0.0
        fill(self.accumulator, 0, [0])
        self.delivery: Delivery = self.dispatch()

    def dispatch(self) -> Delivery:
        """Publish the delivery that is ready."""
        (delivery,) = self.accumulator.ready(self.now)
        self.in_flight.published(delivery, self.now)
        return delivery

    def retry_in(self, wait_s: float = WAIT_S) -> None:
        """Report that the attempt failed, with a retry after the wait."""
        self.in_flight.apply(about(self.delivery, ReportKind.RETRY, wait_s=wait_s, failure=FAILED), self.now)

    def start_attempt(self, *, after_s: float) -> None:
        """Report that a worker began the next attempt."""
        self.now += after_s
        self.in_flight.apply(about(self.delivery, ReportKind.STARTED), self.now)

    def exhausted(self) -> ReportEffect:
        """Report that the attempt failed, with no retry left."""
        return self.in_flight.apply(about(self.delivery, ReportKind.EXHAUSTED, failure=FAILED), self.now)


@pytest.mark.parametrize("on_exhausted", OnExhausted)
def test_attempts_that_began_too_early_are_repeated(on_exhausted: OnExhausted) -> None:
    at = Scene(on_exhausted)
    for _ in range(2):
        at.retry_in()
        at.start_attempt(after_s=0.1)
    effect = at.exhausted()
    lane = lane_of(at.accumulator)
    assert (effect.opened_circuits, effect.exhausted_batch, lane.circuit.state) == ([], None, CircuitState.CLOSED)
    assert (effect.reread, lane.failures, lane.failing) == ([(lane, 0)], 1, True)


def test_repeated_attempt_waits_until_the_due_time() -> None:
    at = Scene()
    at.retry_in()
    at.start_attempt(after_s=0.1)
    at.exhausted()
    fill(at.accumulator, 0, [0], at.now)
    at.now = WAIT_S - 0.1
    assert at.accumulator.ready(at.now) == []
    at.now = WAIT_S
    assert at.dispatch().ref("ingest").failures == 1


@pytest.mark.parametrize(("wait_s", "after_s"), [(30.0, 30.0), (30.0, 16.0), (1.5, 0.6), (0.1, 0.0)])
def test_attempt_that_began_in_time_counts(wait_s: float, after_s: float) -> None:
    at = Scene()
    at.retry_in(wait_s)
    at.start_attempt(after_s=after_s)
    assert at.exhausted().opened_circuits == [lane_of(at.accumulator)]


def test_early_attempt_is_recognised_by_its_end_too() -> None:
    at = Scene()
    at.retry_in()
    at.now += 0.1
    assert at.exhausted().opened_circuits == []


def test_stale_retry_is_not_an_early_attempt() -> None:
    at = Scene()
    at.retry_in()
    at.in_flight.apply(about(at.delivery, ReportKind.STALE), at.now)
    assert at.delivery.early_attempts == 0


def test_attempt_is_never_early_while_reports_are_late() -> None:
    at = Scene()
    at.in_flight.reports_late = True
    at.retry_in()
    at.in_flight.reports_late = False
    at.start_attempt(after_s=0.1)
    at.exhausted()
    assert (at.delivery.early_attempts, lane_of(at.accumulator).circuit.state) == (0, CircuitState.OPEN)
