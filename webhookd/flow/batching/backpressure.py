"""When a subscription stops reading because its endpoint is slower than Kafka.

    held in its lanes                             reading
    less than half of their bounds together       goes on
    more, and no lane is short of work            is skipped for up to a second: nothing fetched is thrown away
    no room for a lane's dead letters             that partition is paused until there is
    one lane above its bound                      that partition is paused until it is below a quarter
    skipped for a second                          every partition is paused: the group sees the consumer polling

Pausing throws away what was prefetched, so it is the exception, with a wide gap between its two edges.
"""

from collections.abc import Collection
from dataclasses import dataclass

from webhookd.flow.batching.circuit_breaker import CircuitState
from webhookd.flow.batching.lane import DeliveryT, Lane

DEAD_LETTER_LIMIT = 1000
"""Records of one lane that may wait for their dead-letter rows."""

LOW_BUFFER_DIVISOR = 16
"""A lane that holds less than its bound divided by this must not be kept from reading."""

LONGEST_SKIP_S = 1.0


@dataclass(slots=True)
class ReadBackpressure:
    """Bounds in bytes per lane; `skipping_since` is monotonic, 0 while reading goes on."""

    lane_bytes: int
    skipping_since: float = 0.0

    def skips(self, lanes: Collection[Lane[DeliveryT]], now: float) -> bool:
        """Whether to leave the consumer alone for now."""
        held = sum(lane.buffered_bytes for lane in lanes)
        plenty = held * 2 > len(lanes) * self.lane_bytes and all(
            lane.paused or lane.buffered_bytes * LOW_BUFFER_DIVISOR > self.lane_bytes for lane in lanes
        )
        if not plenty:
            self.skipping_since = 0.0
            return False
        self.skipping_since = self.skipping_since or now
        return now - self.skipping_since < LONGEST_SKIP_S

    def to_pause(self, lanes: Collection[Lane[DeliveryT]]) -> list[Lane[DeliveryT]]:
        """The lanes that must stop reading now."""
        everything = self.skipping_since > 0.0
        return [lane for lane in lanes if not lane.paused and (everything or self._over(lane))]

    def to_resume(self, lanes: Collection[Lane[DeliveryT]]) -> list[Lane[DeliveryT]]:
        """The lanes that may read again."""
        return [
            lane
            for lane in lanes
            if lane.paused
            and not _stopped(lane)
            and (lane.buffered_bytes + lane.dead_letter_bytes) * 4 < self.lane_bytes
            and lane.ledger.dead_letter_count * 4 < DEAD_LETTER_LIMIT
        ]

    def _over(self, lane: Lane[DeliveryT]) -> bool:
        return (
            _stopped(lane)
            or lane.buffered_bytes + lane.dead_letter_bytes > self.lane_bytes
            or lane.ledger.dead_letter_count > DEAD_LETTER_LIMIT
        )


def _stopped(lane: Lane[DeliveryT]) -> bool:
    """Whether a lane must not read, whatever it holds."""
    return lane.circuit.state is CircuitState.OPEN or lane.dead_letters_full
