"""Whether a queue still comes to a delivery that nobody claimed; if so, publishing it again only lengthens the queue.

the queue                                     the delivery
has claimed one that was published later      was overtaken: its task is lost, publish it again
moved within the claim timeout, but not so    waits for its turn: leave it
far
did not move                                  publish it again, at growing intervals: nobody works, or Redis lost all
"""

from collections import defaultdict
from dataclasses import dataclass
from math import inf

UNKNOWN_POSITION = -1
"""Of a delivery that may not have been published at all: no queue comes to it."""


@dataclass(slots=True)
class _Queue:
    published: int = 0
    claimed: int = UNKNOWN_POSITION
    moved_at: float = -inf


class QueueProgress:
    """Publications by queue, in their order; owned by the ingest loop. A queue may rest for `claim_timeout_s`."""

    def __init__(self, claim_timeout_s: float) -> None:
        self._claim_timeout_s = claim_timeout_s
        self._queues: defaultdict[str, _Queue] = defaultdict(_Queue)

    def published(self, queue: str) -> int:
        """The turn of what is published to a queue now."""
        progress = self._queues[queue]
        progress.published += 1
        return progress.published

    def claimed(self, queue: str, position: int, now: float) -> None:
        """A delivery with this turn was claimed."""
        progress = self._queues[queue]
        progress.claimed = max(progress.claimed, position)
        progress.moved_at = now

    def still_queued(self, queue: str, position: int, now: float) -> bool:
        """Whether the queue moves towards that turn."""
        progress = self._queues[queue]
        return progress.claimed < position and now - progress.moved_at < self._claim_timeout_s
