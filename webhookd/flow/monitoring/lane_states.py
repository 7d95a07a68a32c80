"""Counts lanes and deliveries in flight by their state, and what they buffer.

It is done for all lanes of a process each second. States are plain texts, because members of an Enum are slow keys.
"""

from typing import Final

from webhookd.flow.batching.circuit_breaker import CircuitState
from webhookd.flow.dispatch.delivery import DeliveryStage, Lane

CIRCUIT_OPEN: Final = "circuit_open"
BUFFER_FULL: Final = "buffer_full"
IN_FLIGHT: Final = "in_flight"
WAITING: Final = "waiting"
IDLE: Final = "idle"
STATES: Final = (CIRCUIT_OPEN, BUFFER_FULL, IN_FLIGHT, WAITING, IDLE)
"""The states of lanes; a lane has the first one that applies."""


def state_of(lane: Lane) -> str:
    """The state of a lane."""
    if lane.circuit.state is CircuitState.OPEN:
        return CIRCUIT_OPEN
    if lane.paused:
        return BUFFER_FULL
    if lane.delivery is not None:
        return IN_FLIGHT
    return WAITING if lane.waiting or lane.returned else IDLE


class LaneCounts:
    """Counts of the lanes that were added.

    `following` are read by the shared reader; `retries_due` have no claim although their countdown is over.
    """

    def __init__(self) -> None:
        self.lanes = dict.fromkeys(STATES, 0)
        self.deliveries = dict.fromkeys([stage.value for stage in DeliveryStage], 0)
        self.following = 0
        self.retries_due = 0
        self.records_waiting = 0
        self.buffered_bytes = 0

    def add(self, lane: Lane, now: float) -> None:
        """Count a lane, and its delivery if it is the first of the delivery's lanes; `now` is monotonic seconds."""
        self.lanes[state_of(lane)] += 1
        self.following += lane.following
        self.buffered_bytes += lane.buffered_bytes + lane.dead_letter_bytes
        self.records_waiting += len(lane.waiting)
        if lane.returned:
            self.records_waiting += sum([batch.records for batch in lane.returned])
        delivery = lane.delivery
        if delivery is not None and delivery.lanes[0] is lane:
            self.deliveries[delivery.stage.value] += 1
            self.retries_due += delivery.stage is DeliveryStage.RETRYING and delivery.claimable_at <= now
