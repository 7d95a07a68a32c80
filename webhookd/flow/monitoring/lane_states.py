"""Counts lanes and deliveries in flight by their state, and what they buffer."""

from collections import Counter
from enum import StrEnum

from webhookd.flow.batching.circuit_breaker import CircuitState
from webhookd.flow.dispatch.delivery import DeliveryStage, Lane


class LaneState(StrEnum):
    """The state of a lane: the first of these that applies."""

    CIRCUIT_OPEN = "circuit_open"
    BUFFER_FULL = "buffer_full"
    IN_FLIGHT = "in_flight"
    WAITING = "waiting"
    IDLE = "idle"


def state_of(lane: Lane) -> LaneState:
    """The state of a lane."""
    if lane.circuit.state is CircuitState.OPEN:
        return LaneState.CIRCUIT_OPEN
    if lane.paused:
        return LaneState.BUFFER_FULL
    if lane.delivery is not None:
        return LaneState.IN_FLIGHT
    return LaneState.WAITING if lane.has_work else LaneState.IDLE


class LaneCounts:
    """Counts of the lanes that were added; `retries_due` have no claim although their countdown is over."""

    def __init__(self) -> None:
        self.lanes: Counter[LaneState] = Counter()
        self.deliveries: Counter[DeliveryStage] = Counter()
        self.retries_due = 0
        self.records_waiting = 0
        self.buffered_bytes = 0

    def add(self, lane: Lane, now: float) -> None:
        """Count a lane, and its delivery if it is the first of the delivery's lanes; `now` is monotonic seconds."""
        self.lanes[state_of(lane)] += 1
        if lane.has_work:
            self.records_waiting += len(lane.waiting) + sum(batch.records for batch in lane.returned)
        self.buffered_bytes += lane.buffered_bytes + lane.dead_letter_bytes
        delivery = lane.delivery
        if delivery is not None and delivery.lanes[0] is lane:
            self.deliveries[delivery.stage] += 1
            self.retries_due += delivery.stage is DeliveryStage.RETRYING and delivery.claimable_at <= now
