"""What happens to a batch without an attempt left: the circuit opens, or it is dead-lettered; and what is counted."""

from dataclasses import dataclass

import pytest

from tests.harness.lanes import (
    FAILED,
    TIMEOUTS,
    about,
    accumulator,
    fill,
    in_flight_deliveries,
    lane_of,
    offsets_of,
)
from webhookd.flow.attempt.attempt_report import LoggedExchange, ReportKind
from webhookd.flow.batching.circuit_breaker import CircuitState
from webhookd.flow.dispatch.accumulator import BatchAccumulator
from webhookd.flow.dispatch.delivery import Delivery, DeliveryStage, Lane
from webhookd.flow.offsets.commit_metadata import CommitMetadata
from webhookd.flow.settlement.exhausted_batch import WORKER_LOST, ExhaustedBatch
from webhookd.flow.settlement.in_flight import MAX_WORKER_LOSSES, InFlightDeliveries, ReportEffect
from webhookd.flow.subscription import OnExhausted

LEASE_S = TIMEOUTS.lease_s + TIMEOUTS.request_deadline_s
BUSY = LoggedExchange(0.0, "msg_0", 429, error="http_429")


@dataclass(slots=True, kw_only=True)
class Scene:
    """One lane with four records, each in a batch of its own."""

    accumulator: BatchAccumulator
    in_flight: InFlightDeliveries
    now: float = 0.0

    @property
    def lane(self) -> Lane:
        return lane_of(self.accumulator)

    def dispatched(self) -> Delivery:
        """The next delivery, published once the pause of the lane is over."""
        self.now = max(self.now, self.lane.dispatch_not_before)
        (delivery,) = self.accumulator.ready(self.now)
        self.in_flight.published(delivery, self.now)
        return delivery

    def report(
        self, of: Delivery, kind: ReportKind, done: int = 0, failure: LoggedExchange | None = None, **facts: float
    ) -> ReportEffect:
        return self.in_flight.apply(about(of, kind, done, failure=failure, **facts), self.now)

    def lose_worker(self, delivery: Delivery) -> ReportEffect:
        """Claim the delivery, lose its worker, and read the records of the lane again."""
        self.report(delivery, ReportKind.STARTED)
        self.now += LEASE_S
        _, (lost,) = self.in_flight.overdue(self.now)
        effect = self.in_flight.worker_lost(lost, self.now)
        self.read_again()
        return effect

    def read_again(self) -> None:
        """Read the records from the watermark of the lane on."""
        fill(self.accumulator, 0, range(self.lane.ledger.watermark, 4), self.now)


def scene(on_exhausted: OnExhausted = OnExhausted.PAUSE) -> Scene:
    made = accumulator(on_exhausted=on_exhausted)
    fill(made, 0, range(4))
    return Scene(accumulator=made, in_flight=in_flight_deliveries())


def exhausted_batch_of(effect: ReportEffect) -> ExhaustedBatch:
    assert effect.exhausted_batch is not None
    return effect.exhausted_batch


def test_dead_letter_policy_dead_letters_the_failed_batch_only() -> None:
    at = scene(OnExhausted.DEAD_LETTER)
    delivery = at.dispatched()
    effect = at.report(delivery, ReportKind.EXHAUSTED, done=1, failure=FAILED)
    dead_letters = exhausted_batch_of(effect).dead_letters()
    assert [
        (dead_letter.offset, dead_letter.cause, dead_letter.status, dead_letter.attempts)
        for dead_letter in dead_letters
    ] == [(1, "http_500", 500, 1)]
    assert (delivery.stage, effect.opened_circuits, effect.reread) == (DeliveryStage.DEAD_LETTERING, [], [])


def test_lane_waits_until_its_dead_letters_are_stored() -> None:
    at = scene(OnExhausted.DEAD_LETTER)
    delivery = at.dispatched()
    at.report(delivery, ReportKind.EXHAUSTED, done=1, failure=FAILED)
    waiting = (at.lane.ledger.watermark, at.accumulator.ready(99.0), at.in_flight.overdue(1e9))
    at.in_flight.dead_letters_stored(delivery)
    assert waiting == (1, [], ([], []))
    assert (at.lane.ledger.watermark, offsets_of(at.dispatched())) == (2, [[2], [3]])


def test_second_report_dead_letters_nothing_twice() -> None:
    at = scene(OnExhausted.DEAD_LETTER)
    delivery = at.dispatched()
    at.report(delivery, ReportKind.EXHAUSTED, failure=FAILED)
    assert at.report(delivery, ReportKind.EXHAUSTED, failure=FAILED).exhausted_batch is None


def test_dead_letters_of_a_rewound_lane_settle_nothing() -> None:
    at = scene(OnExhausted.DEAD_LETTER)
    delivery, lane = at.dispatched(), at.lane
    at.report(delivery, ReportKind.EXHAUSTED, failure=FAILED)
    lane.rewind("another")
    assert (at.in_flight.dead_letters_stored(delivery).lanes_freed, lane.ledger.watermark) == (False, 0)


def test_gone_opens_the_circuit_for_good() -> None:
    at = scene()
    effect = at.report(at.dispatched(), ReportKind.GONE, done=1, failure=FAILED)
    assert (effect.endpoint_gone, effect.opened_circuits, at.lane.circuit.probe_at) == (True, [at.lane], float("inf"))
    assert at.lane.ledger.watermark == 1


@pytest.mark.parametrize("policy", OnExhausted)
def test_batch_is_exhausted_after_three_worker_losses(policy: OnExhausted) -> None:
    at = scene(policy)
    effects = [at.lose_worker(at.dispatched()) for _ in range(MAX_WORKER_LOSSES)]
    given_up = [bool(effect.opened_circuits or effect.exhausted_batch) for effect in effects]
    assert given_up == [False, False, True]
    assert at.lane.circuit.state is (CircuitState.OPEN if policy is OnExhausted.PAUSE else CircuitState.CLOSED)


def test_dead_letters_name_the_lost_worker_as_cause() -> None:
    at = scene(OnExhausted.DEAD_LETTER)
    *_, last = [at.lose_worker(at.dispatched()) for _ in range(MAX_WORKER_LOSSES)]
    assert [(dead_letter.cause, dead_letter.status) for dead_letter in exhausted_batch_of(last).dead_letters()] == [
        (WORKER_LOST, None)
    ]


def test_batch_of_a_lost_worker_is_sent_alone() -> None:
    at = scene()
    at.lose_worker(at.dispatched())
    assert offsets_of(at.dispatched()) == [[0]]


def test_success_resets_the_count_of_worker_losses() -> None:
    at = scene()
    at.lose_worker(at.dispatched())
    at.report(at.dispatched(), ReportKind.FINISHED, done=1)
    for _ in range(MAX_WORKER_LOSSES - 1):
        assert at.lose_worker(at.dispatched()).opened_circuits == []


def test_unclaimed_delivery_is_no_worker_loss() -> None:
    at = scene()
    delivery = at.dispatched()
    delivery.expire()
    at.in_flight.worker_lost(delivery, 1.0)
    assert at.lane.worker_losses == 0


def test_time_of_a_suspended_process_does_not_count() -> None:
    at = scene()
    at.report(at.dispatched(), ReportKind.STARTED)
    at.in_flight.process_was_suspended(60.0)
    assert at.in_flight.overdue(LEASE_S + 59.0) == ([], [])


def test_failed_attempts_are_kept_after_a_stale_report() -> None:
    at = scene()
    delivery = at.dispatched()
    at.report(delivery, ReportKind.RETRY, failure=FAILED, wait_s=5.0)
    at.report(delivery, ReportKind.RETRY, failure=FAILED, wait_s=5.0)
    at.report(delivery, ReportKind.STALE)
    at.read_again()
    at.now = 9.0
    again = at.dispatched()
    assert (again.attempt, again.failures, again.ref("i").failures) == (0, 2, 2)


def test_failures_before_the_delivery_are_counted_on() -> None:
    at = scene()
    at.lane.restore(CommitMetadata(failed_attempts=3), 0.0)
    at.report(at.dispatched(), ReportKind.RETRY, failure=FAILED)
    assert (at.lane.failures, at.lane.committable and at.lane.committable.metadata.failed_attempts) == (4, 4)


def test_success_resets_the_count_of_failures() -> None:
    at = scene()
    delivery = at.dispatched()
    at.report(delivery, ReportKind.RETRY, failure=LoggedExchange(7.0, "msg_0", 500, error="http_500"))
    failing_since = at.lane.circuit.failing_since
    at.report(delivery, ReportKind.FINISHED, done=1)
    assert (failing_since, at.lane.circuit.failing_since, at.lane.failures) == (7.0, 0.0, 0)


def test_probe_waits_as_long_as_the_endpoint_asked() -> None:
    at = scene()
    at.report(at.dispatched(), ReportKind.EXHAUSTED, failure=BUSY, wait_s=600.0)
    assert at.lane.circuit.probe_at == 600.0


def test_changed_policy_closes_the_circuit() -> None:
    at = scene(OnExhausted.DEAD_LETTER)
    at.lane.restore(CommitMetadata(failed_attempts=5, failed_probes=3), 0.0)
    at.lane.circuit.state = CircuitState.HALF_OPEN
    probe = at.dispatched()
    at.report(probe, ReportKind.EXHAUSTED, failure=FAILED)
    at.in_flight.dead_letters_stored(probe)
    assert (probe.probe, at.lane.circuit.state, at.dispatched().probe) == (True, CircuitState.CLOSED, False)


def test_lane_is_dispatched_later_after_the_second_worker_loss() -> None:
    at = scene()
    at.lose_worker(at.dispatched())
    first = at.lane.dispatch_not_before
    at.lose_worker(at.dispatched())
    assert (first, at.lane.dispatch_not_before > at.now) == (0.0, True)


def test_probes_count_as_attempts_of_their_batch() -> None:
    at = scene()
    at.lane.restore(CommitMetadata(failed_attempts=5, failed_probes=3), 0.0)
    at.lane.circuit.state = CircuitState.HALF_OPEN
    assert at.dispatched().failures == 8
