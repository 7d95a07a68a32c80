"""The current state of a subscription's deliveries; the status shows it in addition to the health.

state          lanes                                                            ends when
starting       none is assigned yet, or their start positions are not known     Kafka has answered
idle           nothing waits, nothing is in flight                              a record arrives
delivering     records wait or are in flight, the last attempts succeeded       all are delivered, or an attempt fails
failing        the last attempt of a lane failed, a retry follows               it succeeds, or no attempt is left
circuit_open   no attempt is left: the endpoint is probed from time to time     a probe succeeds
stopped        the subscription is inactive, offline or unusable                it is active and online again
unverified     the endpoint has not shown that it wants the requests            it has

If several lanes fail, the one that has failed for longest is shown. With `failing` and `circuit_open` the status shows
how many attempts of its batch have failed and when the next one is due.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum
from math import inf

from webhookd.flow.batching.circuit_breaker import CircuitState
from webhookd.flow.dispatch.delivery import DeliveryStage, Lane
from webhookd.flow.dispatch.endpoint_verification import EndpointVerification

SAME_TIME_TOLERANCE_S = 1.0
"""Smaller differences between two times of the next attempt are not shown: the two clocks drift apart a little."""


class DeliveryState(StrEnum):
    """The state of the deliveries; see the table above."""

    STARTING = "starting"
    IDLE = "idle"
    DELIVERING = "delivering"
    FAILING = "failing"
    CIRCUIT_OPEN = "circuit_open"
    STOPPED = "stopped"
    UNVERIFIED = "unverified"


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedAttempt:
    """The last failed attempt; `answer` is the endpoint's, `detail` webhookd's text where there was no answer."""

    code: str
    at: float
    status: int = 0
    answer: str = ""
    detail: str = ""

    def __str__(self) -> str:
        text = self.answer or self.detail
        return f"{self.code}: {text}" if text else self.code


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryStatus:
    """The state of the deliveries with its details; times are seconds since the epoch, 0 where there is none.

    `since` is when the shown lane began to fail, `attempt` how many attempts of its batch have failed.
    `next_attempt_at` is 0 while the next attempt is in progress or may begin at any time. `limited_by` says what holds
    records back although the endpoint accepts requests (flow/dispatch/dispatch_pace.py); empty if nothing does.
    """

    state: DeliveryState
    since: float = 0.0
    attempt: int = 0
    max_attempts: int = 0
    next_attempt_at: float = 0.0
    lanes: int = 0
    lanes_failing: int = 0
    last_failure: FailedAttempt | None = None
    limited_by: str = ""

    def differs(self, other: "DeliveryStatus") -> bool:
        """Return whether the difference is large enough to be shown."""
        apart_s = abs(self.next_attempt_at - other.next_attempt_at)
        return apart_s > SAME_TIME_TOLERANCE_S or replace(self, next_attempt_at=other.next_attempt_at) != other


STARTING = DeliveryStatus(state=DeliveryState.STARTING)
STOPPED = DeliveryStatus(state=DeliveryState.STOPPED)


def delivery_status(lanes: Collection[Lane], max_attempts: int, *, monotonic: float, wall: float) -> DeliveryStatus:
    """Return the state of the deliveries of these lanes; `monotonic` and `wall` are the current time on both clocks."""
    failing = [lane for lane in lanes if lane.failing or lane.circuit.failing_since]
    if not failing:
        return DeliveryStatus(state=_state_without_failures(lanes), lanes=len(lanes))
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


def unverified_status(
    lanes: Collection[Lane], verification: EndpointVerification, *, monotonic: float, wall: float
) -> DeliveryStatus:
    """Return the state of the deliveries while the endpoint has not consented: `attempt` counts its other answers."""
    next_at = verification.next_at(monotonic)
    return DeliveryStatus(
        state=DeliveryState.UNVERIFIED,
        attempt=verification.refusals,
        next_attempt_at=wall + next_at - monotonic if next_at is not None else 0.0,
        lanes=len(lanes),
    )


def _state_without_failures(lanes: Collection[Lane]) -> DeliveryState:
    if not any(lane.position_known for lane in lanes):
        return DeliveryState.STARTING
    busy = any(lane.delivery is not None or lane.has_work for lane in lanes)
    return DeliveryState.DELIVERING if busy else DeliveryState.IDLE


def _next_at(lane: Lane) -> float:
    """Return when the next attempt is due (monotonic); infinity when none will be made or one is in progress."""
    if lane.circuit.state is CircuitState.OPEN:
        return lane.circuit.probe_at
    if lane.delivery is None:
        return lane.dispatch_not_before
    return lane.delivery.claimable_at if lane.delivery.stage is DeliveryStage.RETRYING else inf
