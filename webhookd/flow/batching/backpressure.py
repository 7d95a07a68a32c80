"""When a subscription stops reading because its endpoint is slower than Kafka.

    state                                         reading
    all lanes buffer less than half of the sum    continues
      of their bounds
    they buffer more, and no lane is low on       is skipped for up to a second; this keeps the prefetched messages
      records
    polls were skipped for a second               all partitions are paused, and polled so that the consumer stays in
                                                  its group
    one lane is above its bound of bytes, or of   its partition is paused until the lane is below a quarter of it
      records that wait for their dead letters
    the lane's circuit is open, or there is no    its partition is paused until this has ended
      room for dead letters in the database

Pausing drops the prefetched messages. So webhookd skips polls first, and a lane resumes far below the bound at which it
was paused.
"""

from collections.abc import Collection
from dataclasses import dataclass

from webhookd.flow.batching.circuit_breaker import CircuitState
from webhookd.flow.batching.lane import DeliveryT, Lane

DEAD_LETTER_LIMIT = 1000
"""Records of one lane that may wait until their dead letters are stored."""

LOW_BUFFER_DIVISOR = 16
"""A lane that buffers less than its bound divided by this is low on records, and must continue to read."""

LONGEST_SKIP_S = 1.0

UNVERIFIED_LANE_BYTES = 65_536
"""What a lane may buffer before its endpoint has consented: its records wait in Kafka, and others have the memory."""


def lane_bound(lane_bytes: int, *, unverified: bool) -> int:
    """The bytes that a lane may buffer, of the `lane_bytes` that each lane may."""
    return min(lane_bytes, UNVERIFIED_LANE_BYTES) if unverified else lane_bytes


@dataclass(slots=True)
class ReadBackpressure:
    """Decides which lanes of a subscription read.

    `lane_bytes` is the bound of one lane. `skipping_since` is monotonic seconds, 0 while polls are not skipped.
    """

    lane_bytes: int
    skipping_since: float = 0.0

    def skips(self, lanes: Collection[Lane[DeliveryT]], now: float) -> bool:
        """Whether to skip the next poll."""
        buffered = sum(lane.buffered_bytes for lane in lanes)
        plenty = buffered * 2 > len(lanes) * self.lane_bytes and all(
            lane.paused or lane.buffered_bytes * LOW_BUFFER_DIVISOR > self.lane_bytes for lane in lanes
        )
        if not plenty:
            self.skipping_since = 0.0
            return False
        self.skipping_since = self.skipping_since or now
        return now - self.skipping_since < LONGEST_SKIP_S

    def to_pause(self, lanes: Collection[Lane[DeliveryT]], *, polled: bool) -> list[Lane[DeliveryT]]:
        """The lanes whose partitions must be paused now; `polled` is whether their own consumer was just polled."""
        everything = polled and self.skipping_since > 0.0
        return [lane for lane in lanes if not lane.paused and (everything or self._over(lane))]

    def to_resume(self, lanes: Collection[Lane[DeliveryT]]) -> list[Lane[DeliveryT]]:
        """The lanes whose partitions may be resumed."""
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
    """Whether a lane must not read, even if it buffers nothing."""
    return lane.circuit.state is CircuitState.OPEN or lane.dead_letters_full
