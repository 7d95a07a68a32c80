"""What becomes of a batch that no attempt is left for: held, buried, gone; and what is counted until then."""

from dataclasses import dataclass

import pytest

from tests.harness.lanes import FAILED, TIMEOUTS, about, accumulator, fill, in_flight_deliveries, lane_of, offsets_of
from webhookd.flow.attempt.attempt_report import LoggedExchange, ReportKind
from webhookd.flow.batching.circuit_breaker import CircuitState
from webhookd.flow.dispatch.accumulator import BatchAccumulator
from webhookd.flow.dispatch.delivery import Delivery, DeliveryStage, Lane
from webhookd.flow.offsets.commit_metadata import CommitMetadata
from webhookd.flow.settlement.exhausted_batch import WORKER_LOST, ExhaustedBatch
from webhookd.flow.settlement.in_flight import (
    LONGEST_COOLDOWN_S,
    MAX_WORKER_LOSSES,
    SHORTEST_COOLDOWN_S,
    InFlightDeliveries,
    ReportEffect,
)
from webhookd.flow.subscription import OnExhausted

LEASE_S = TIMEOUTS.lease_s + TIMEOUTS.request_deadline_s
BUSY = LoggedExchange(0.0, "msg_0", 429, error="http_429")


@dataclass(slots=True, kw_only=True)
class Scene:
    """One lane whose four records are to be delivered one by one."""

    accumulator: BatchAccumulator
    in_flight: InFlightDeliveries
    now: float = 0.0

    @property
    def lane(self) -> Lane:
        return lane_of(self.accumulator)

    def dispatched(self) -> Delivery:
        """The next delivery, published, once the lane has rested."""
        self.now = max(self.now, self.lane.dispatch_not_before)
        (delivery,) = self.accumulator.ready(self.now)
        self.in_flight.published(delivery, self.now)
        return delivery

    def hears(
        self, of: Delivery, kind: ReportKind, done: int = 0, failure: LoggedExchange | None = None, **facts: float
    ) -> ReportEffect:
        return self.in_flight.apply(about(of, kind, done, failure=failure, **facts), self.now)

    def loses(self, delivery: Delivery) -> ReportEffect:
        """The delivery is claimed, and its worker dies; what is read again arrives again."""
        self.hears(delivery, ReportKind.STARTED)
        self.now += LEASE_S
        _, (lost,) = self.in_flight.overdue(self.now)
        effect = self.in_flight.worker_lost(lost, self.now)
        self.arrives_again()
        return effect

    def arrives_again(self) -> None:
        """What the lane was rewound to is read."""
        fill(self.accumulator, 0, range(self.lane.ledger.watermark, 4), self.now)


def scene(on_exhausted: OnExhausted = OnExhausted.PAUSE) -> Scene:
    made = accumulator(on_exhausted=on_exhausted)
    fill(made, 0, range(4))
    return Scene(accumulator=made, in_flight=in_flight_deliveries())


def burial_of(effect: ReportEffect) -> ExhaustedBatch:
    assert effect.exhausted_batch is not None
    return effect.exhausted_batch


def test_dead_letter_policy_buries_the_failed_batch_only() -> None:
    at = scene(OnExhausted.DEAD_LETTER)
    delivery = at.dispatched()
    effect = at.hears(delivery, ReportKind.EXHAUSTED, done=1, failure=FAILED)
    dead_letters = burial_of(effect).dead_letters()
    assert [
        (dead_letter.offset, dead_letter.cause, dead_letter.status, dead_letter.attempts)
        for dead_letter in dead_letters
    ] == [(1, "http_500", 500, 1)]
    assert (delivery.stage, effect.opened_circuits, effect.reread) == (DeliveryStage.DEAD_LETTERING, [], [])


def test_lane_waits_until_its_dead_letters_are_safe() -> None:
    at = scene(OnExhausted.DEAD_LETTER)
    delivery = at.dispatched()
    at.hears(delivery, ReportKind.EXHAUSTED, done=1, failure=FAILED)
    waiting = (at.lane.ledger.watermark, at.accumulator.ready(99.0), at.in_flight.overdue(1e9))
    at.in_flight.dead_letters_stored(delivery)
    assert waiting == (1, [], ([], []))
    assert (at.lane.ledger.watermark, offsets_of(at.dispatched())) == (2, [[2], [3]])


def test_second_report_buries_nothing_twice() -> None:
    at = scene(OnExhausted.DEAD_LETTER)
    delivery = at.dispatched()
    at.hears(delivery, ReportKind.EXHAUSTED, failure=FAILED)
    assert at.hears(delivery, ReportKind.EXHAUSTED, failure=FAILED).exhausted_batch is None


def test_burial_of_a_lane_that_went_away_settles_nothing() -> None:
    at = scene(OnExhausted.DEAD_LETTER)
    delivery, lane = at.dispatched(), at.lane
    at.hears(delivery, ReportKind.EXHAUSTED, failure=FAILED)
    lane.rewind("another")
    assert (at.in_flight.dead_letters_stored(delivery).lanes_freed, lane.ledger.watermark) == (False, 0)


def test_gone_holds_the_lane_for_good() -> None:
    at = scene()
    effect = at.hears(at.dispatched(), ReportKind.GONE, done=1, failure=FAILED)
    assert (effect.endpoint_gone, effect.opened_circuits, at.lane.circuit.probe_at) == (True, [at.lane], float("inf"))
    assert at.lane.ledger.watermark == 1


@pytest.mark.parametrize("policy", OnExhausted)
def test_batch_that_costs_three_workers_is_exhausted(policy: OnExhausted) -> None:
    at = scene(policy)
    effects = [at.loses(at.dispatched()) for _ in range(MAX_WORKER_LOSSES)]
    given_up = [bool(effect.opened_circuits or effect.exhausted_batch) for effect in effects]
    assert given_up == [False, False, True]
    assert at.lane.circuit.state is (CircuitState.OPEN if policy is OnExhausted.PAUSE else CircuitState.CLOSED)


def test_dead_letters_of_lost_workers_say_so() -> None:
    at = scene(OnExhausted.DEAD_LETTER)
    *_, last = [at.loses(at.dispatched()) for _ in range(MAX_WORKER_LOSSES)]
    assert [(dead_letter.cause, dead_letter.status) for dead_letter in burial_of(last).dead_letters()] == [
        (WORKER_LOST, None)
    ]


def test_suspect_batch_travels_alone() -> None:
    at = scene()
    at.loses(at.dispatched())
    assert offsets_of(at.dispatched()) == [[0]]


def test_success_between_two_deaths_begins_the_count_anew() -> None:
    at = scene()
    at.loses(at.dispatched())
    at.hears(at.dispatched(), ReportKind.FINISHED, done=1)
    for _ in range(MAX_WORKER_LOSSES - 1):
        assert at.loses(at.dispatched()).opened_circuits == []


def test_delivery_that_nobody_claimed_is_no_death() -> None:
    at = scene()
    delivery = at.dispatched()
    delivery.expire()
    at.in_flight.worker_lost(delivery, 1.0)
    assert at.lane.worker_losses == 0


def test_time_in_which_ingest_slept_is_no_silence() -> None:
    at = scene()
    at.hears(at.dispatched(), ReportKind.STARTED)
    at.in_flight.process_was_suspended(60.0)
    assert at.in_flight.overdue(LEASE_S + 59.0) == ([], [])


def test_failed_attempts_survive_a_stale_answer() -> None:
    at = scene()
    delivery = at.dispatched()
    at.hears(delivery, ReportKind.RETRY, failure=FAILED, wait_s=5.0)
    at.hears(delivery, ReportKind.RETRY, failure=FAILED, wait_s=5.0)
    at.hears(delivery, ReportKind.STALE)
    at.arrives_again()
    at.now = 9.0
    again = at.dispatched()
    assert (again.attempt, again.failures, again.ref("i").failures) == (0, 2, 2)


def test_failures_before_the_delivery_go_on_counting() -> None:
    at = scene()
    at.lane.restore(CommitMetadata(failed_attempts=3), 0.0)
    at.hears(at.dispatched(), ReportKind.RETRY, failure=FAILED)
    assert (at.lane.failures, at.lane.committable and at.lane.committable.metadata.failed_attempts) == (4, 4)


def test_success_ends_the_count_of_failures() -> None:
    at = scene()
    delivery = at.dispatched()
    at.hears(delivery, ReportKind.RETRY, failure=LoggedExchange(7.0, "msg_0", 500, error="http_500"))
    failing_since = at.lane.circuit.failing_since
    at.hears(delivery, ReportKind.FINISHED, done=1)
    assert (failing_since, at.lane.circuit.failing_since, at.lane.failures) == (7.0, 0.0, 0)


def test_held_lane_waits_as_long_as_it_was_asked_to() -> None:
    at = scene()
    at.hears(at.dispatched(), ReportKind.EXHAUSTED, failure=BUSY, wait_s=600.0)
    assert at.lane.circuit.probe_at == 600.0


def test_429_makes_the_lane_rest_between_deliveries() -> None:
    at = scene()
    delivery = at.dispatched()
    at.hears(delivery, ReportKind.RETRY, failure=BUSY)
    at.hears(delivery, ReportKind.RETRY, failure=BUSY)
    at.hears(delivery, ReportKind.FINISHED, done=1)
    assert (at.accumulator.ready(2 * SHORTEST_COOLDOWN_S - 0.01), at.lane.cool_down_s) == ([], SHORTEST_COOLDOWN_S)
    assert at.accumulator.ready(2 * SHORTEST_COOLDOWN_S) != []


def test_rested_lane_is_due_although_nothing_new_arrives() -> None:
    at = scene()
    delivery = at.dispatched()
    at.hears(delivery, ReportKind.RETRY, failure=BUSY)
    at.now = 5.0
    at.hears(delivery, ReportKind.FINISHED, done=1)
    assert at.accumulator.due_at() == at.now + SHORTEST_COOLDOWN_S


def test_rest_is_bounded() -> None:
    at = scene()
    delivery = at.dispatched()
    for _ in range(20):
        at.hears(delivery, ReportKind.RETRY, failure=BUSY)
    assert at.lane.cool_down_s == LONGEST_COOLDOWN_S


def test_lane_that_was_held_before_its_policy_changed_gets_its_retries_again() -> None:
    at = scene(OnExhausted.DEAD_LETTER)
    at.lane.restore(CommitMetadata(failed_attempts=5, failed_probes=3), 0.0)
    at.lane.circuit.state = CircuitState.HALF_OPEN
    probe = at.dispatched()
    at.hears(probe, ReportKind.EXHAUSTED, failure=FAILED)
    at.in_flight.dead_letters_stored(probe)
    assert (probe.probe, at.lane.circuit.state, at.dispatched().probe) == (True, CircuitState.CLOSED, False)


def test_lanes_lost_twice_together_come_back_apart() -> None:
    at = scene()
    at.loses(at.dispatched())
    first = at.lane.dispatch_not_before
    at.loses(at.dispatched())
    assert (first, at.lane.dispatch_not_before > at.now) == (0.0, True)
