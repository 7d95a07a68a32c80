"""What the deliveries of one subscription are doing now, beside whether it is healthy.

state          lanes                                                          leaves it when
starting       none is assigned yet, or where they begin is not known yet     Kafka has answered
idle           nothing waits, nothing is in flight                            a record arrives
delivering     something waits or is in flight, the last attempts succeeded   all is delivered, or an attempt fails
failing        the last attempt of one failed, another follows                it succeeds, or no attempt is left
circuit_open   no attempt is left: one probe is made now and then             it succeeds
stopped        the subscription is off, offline or unusable                   it is on again

Of several failing lanes the one that has failed for longest is shown. `failing` and `circuit_open` say how many
attempts of its batch have failed and when the next one is due.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum
from math import inf

from webhookd.flow.batching.circuit_breaker import CircuitState
from webhookd.flow.dispatch.delivery import DeliveryStage, Lane

SAME_S = 1.0
"""Two times of the next attempt that differ by less are one: the clocks run apart a little."""


class DeliveryState(StrEnum):
    """What the deliveries are doing; see the table above."""

    STARTING = "starting"
    IDLE = "idle"
    DELIVERING = "delivering"
    FAILING = "failing"
    CIRCUIT_OPEN = "circuit_open"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedAttempt:
    """The last attempt that failed: `answer` is the endpoint's, `detail` what webhookd says where there was none."""

    code: str
    at: float
    status: int = 0
    answer: str = ""
    detail: str = ""

    def __str__(self) -> str:
        words = self.answer or self.detail
        return f"{self.code}: {words}" if words else self.code


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryStatus:
    """What the deliveries are doing; times are seconds since the epoch, 0 where there is none.

    `since` is when the lane began to fail, `attempt` how many attempts of its batch have failed. `next_attempt_at` is 0
    while the next attempt is under way or may begin at any time.
    """

    state: DeliveryState
    since: float = 0.0
    attempt: int = 0
    max_attempts: int = 0
    next_attempt_at: float = 0.0
    lanes: int = 0
    lanes_failing: int = 0
    last_failure: FailedAttempt | None = None

    def differs(self, other: "DeliveryStatus") -> bool:
        """Whether people would see another status."""
        apart_s = abs(self.next_attempt_at - other.next_attempt_at)
        return apart_s > SAME_S or replace(self, next_attempt_at=other.next_attempt_at) != other


STARTING = DeliveryStatus(state=DeliveryState.STARTING)
STOPPED = DeliveryStatus(state=DeliveryState.STOPPED)


def delivery_status(lanes: Collection[Lane], max_attempts: int, *, monotonic: float, wall: float) -> DeliveryStatus:
    """What the deliveries of these lanes are doing at this moment, which both clocks tell."""
    failing = [lane for lane in lanes if lane.failing or lane.circuit.failing_since]
    if not failing:
        return DeliveryStatus(state=_untroubled(lanes), lanes=len(lanes))
    shown = min(failing, key=lambda lane: lane.circuit.failing_since or inf)
    is_open = shown.circuit.state is not CircuitState.CLOSED
    next_at = _next_at(shown)
    return DeliveryStatus(
        state=DeliveryState.CIRCUIT_OPEN if is_open else DeliveryState.FAILING,
        since=shown.circuit.failing_since,
        attempt=min(max_attempts, shown.failures + is_open),
        max_attempts=max_attempts,
        next_attempt_at=wall + next_at - monotonic if monotonic < next_at < inf else 0.0,
        lanes=len(lanes),
        lanes_failing=len(failing),
    )


def _untroubled(lanes: Collection[Lane]) -> DeliveryState:
    if not any(lane.position_known for lane in lanes):
        return DeliveryState.STARTING
    busy = any(lane.delivery is not None or lane.has_work for lane in lanes)
    return DeliveryState.DELIVERING if busy else DeliveryState.IDLE


def _next_at(lane: Lane) -> float:
    """When the next attempt is due, monotonic; infinity when none will be made, or one is under way."""
    if lane.circuit.state is CircuitState.OPEN:
        return lane.circuit.probe_at
    if lane.delivery is None:
        return lane.dispatch_not_before
    return lane.delivery.claimable_at if lane.delivery.stage is DeliveryStage.RETRYING else inf
