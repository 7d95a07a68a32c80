"""The state of a subscription's deliveries. Oracle: the table in flow/status/delivery_status.py, case by case."""

from dataclasses import replace

from tests.harness.lanes import FAILED, about, accumulator, fill, in_flight_deliveries, lane_of
from webhookd.flow.attempt.attempt_report import ReportKind
from webhookd.flow.batching.circuit_breaker import CircuitState
from webhookd.flow.dispatch.accumulator import BatchAccumulator
from webhookd.flow.status.delivery_status import DeliveryState, DeliveryStatus, delivery_status
from workers.ingest.consumer.subscription_health import SubscriptionHealth

WALL = 1_700_000_000.0
FAILED_AT = WALL - 5.0
MAX_ATTEMPTS = 6


def status_of(made: BatchAccumulator, now: float = 0.0) -> DeliveryStatus:
    return delivery_status(made.lanes.values(), MAX_ATTEMPTS, monotonic=now, wall=WALL + now)


def retrying(wait_s: float = 20.0, *, attempts: int = 1) -> BatchAccumulator:
    """A route of two lanes; so many attempts of the first one's batch have failed at 0 s."""
    made, in_flight = accumulator(2), in_flight_deliveries()
    fill(made, 0, range(2))
    (delivery,) = made.ready(0.0)
    in_flight.published(delivery, 0.0)
    for _ in range(attempts):
        failure = type(FAILED)(FAILED_AT, "msg_0", 500, error="http_500")
        in_flight.apply(about(delivery, ReportKind.RETRY, 0, failure=failure, wait_s=wait_s), 0.0)
    return made


def test_first_failed_attempt_is_failing() -> None:
    assert status_of(retrying()) == DeliveryStatus(
        state=DeliveryState.FAILING,
        since=FAILED_AT,
        attempt=1,
        max_attempts=MAX_ATTEMPTS,
        next_attempt_at=WALL + 20.0,
        lanes=2,
        lanes_failing=1,
    )


def test_attempts_are_counted() -> None:
    assert status_of(retrying(attempts=3)).attempt == 3


def test_attempt_that_is_due_has_no_time() -> None:
    assert status_of(retrying(), now=20.0).next_attempt_at == 0.0


def test_lane_without_attempts_left_is_paused_until_its_probe() -> None:
    made = accumulator(1)
    lane = lane_of(made)
    lane.circuit.state, lane.circuit.failed_probes, lane.failures = CircuitState.OPEN, 1, MAX_ATTEMPTS - 1
    lane.circuit.probe_at, lane.circuit.failing_since = 30.0, FAILED_AT
    shown = status_of(made)
    assert (shown.state, shown.attempt, shown.next_attempt_at) == (
        DeliveryState.CIRCUIT_OPEN,
        MAX_ATTEMPTS,
        WALL + 30.0,
    )
    lane.circuit.state = CircuitState.HALF_OPEN
    assert (status_of(made).state, status_of(made).next_attempt_at) == (DeliveryState.CIRCUIT_OPEN, 0.0)


def test_lane_that_has_failed_longest_is_shown() -> None:
    made = accumulator(3)
    for number, since in ((0, 50.0), (1, 40.0)):
        lane_of(made, number).failures, lane_of(made, number).circuit.failing_since = number + 1, since
    shown = status_of(made)
    assert (shown.since, shown.attempt, shown.lanes_failing, shown.lanes) == (40.0, 2, 2, 3)


def test_waiting_records_are_delivering_and_none_is_idle() -> None:
    made = accumulator(1)
    before = status_of(made).state
    fill(made, 0, range(2))
    waiting = status_of(made).state
    made.ready(0.0)
    assert (before, waiting, status_of(made).state) == (
        DeliveryState.IDLE,
        DeliveryState.DELIVERING,
        DeliveryState.DELIVERING,
    )


def test_without_a_known_position_it_is_starting() -> None:
    none, unknown = accumulator(0), accumulator(1)
    lane_of(unknown).position_known = False
    assert (status_of(none).state, status_of(unknown).state) == (DeliveryState.STARTING, DeliveryState.STARTING)


def test_small_clock_drift_is_no_change() -> None:
    shown = status_of(retrying())
    near, far = (replace(shown, next_attempt_at=shown.next_attempt_at + apart_s) for apart_s in (0.5, 5.0))
    assert (shown.differs(near), shown.differs(far), shown.differs(replace(shown, attempt=2))) == (False, True, True)


def test_what_holds_records_back_is_shown_as_soon_as_it_changes() -> None:
    health = SubscriptionHealth(subscription_id="s1", since=WALL)
    lanes = accumulator().lanes.values()
    changes = [
        health.update_delivery_status(lanes, MAX_ATTEMPTS, monotonic=0.0, wall=WALL, limited_by=reason)
        for reason in ("", "rate_limit", "rate_limit", "")
    ]
    assert changes[1:] == [True, False, True]
