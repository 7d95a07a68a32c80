"""Whether the task of an unclaimed delivery is still in its queue.

A delivery that is still queued must not be published again, since that only lengthens the queue.

deliveries that were claimed from the queue       the unclaimed delivery
one that was published later                      its task is lost: it is published again
another one within the claim timeout, but none    is still queued: it is not published again
  that was published later
none within the claim timeout                     is published again, at growing intervals: no worker runs, or Redis has
                                                  lost its data
"""

from collections import defaultdict
from dataclasses import dataclass
from math import inf

UNKNOWN_PUBLICATION = -1
"""The position of a delivery whose publication may have failed: it never counts as still queued."""


@dataclass(slots=True)
class _Progress:
    published: int = 0
    claimed: int = UNKNOWN_PUBLICATION
    moved_at: float = -inf


class QueueProgress:
    """Numbers the publications of each queue. Owned by the ingest loop, not thread-safe."""

    def __init__(self, claim_timeout_s: float) -> None:
        self._claim_timeout_s = claim_timeout_s
        self._queues: defaultdict[str, _Progress] = defaultdict(_Progress)

    def published(self, queue: str) -> int:
        """The position of a delivery that is published to a queue now."""
        progress = self._queues[queue]
        progress.published += 1
        return progress.published

    def claimed(self, queue: str, position: int, now: float) -> None:
        """Note that the delivery at this position was claimed."""
        progress = self._queues[queue]
        progress.claimed = max(progress.claimed, position)
        progress.moved_at = now

    def still_queued(self, queue: str, position: int, now: float) -> bool:
        """Whether the delivery at this position is probably still queued, as the table above says."""
        progress = self._queues[queue]
        return progress.claimed < position and now - progress.moved_at < self._claim_timeout_s
