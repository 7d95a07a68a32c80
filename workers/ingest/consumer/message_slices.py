"""Processes fetched messages in slices, for a short time at a poll; the others wait for the next one.

Filters may be slow, and other subscriptions share the loop's thread.
"""

from collections.abc import Callable, Collection

from confluent_kafka import Message

from webhookd.clock import Monotonic
from webhookd.flow.offsets.position import Partition

BUDGET_S = 0.02
"""How long the messages of one consumer may delay those of the others."""

FIRST_SLICE_SIZE = 32
LARGEST_SLICE_SIZE = 2048
"""Messages that are processed between two readings of the clock; the number doubles while a slice takes little time."""


class MessageSlices:
    """Owned by the ingest loop's thread. `waiting` has the fetched messages that are not processed yet."""

    def __init__(self, monotonic: Monotonic) -> None:
        self.waiting: list[Message] = []
        self._monotonic = monotonic
        self._size = FIRST_SLICE_SIZE
        self._largest = LARGEST_SLICE_SIZE

    def bound(self, size: int, *, anew: bool = False) -> None:
        """Make no slice larger than this; `anew` replaces smaller bounds."""
        self._largest = max(1, min(size, LARGEST_SLICE_SIZE if anew else self._largest))
        self._size = min(self._size, self._largest)

    def process(self, messages: list[Message], take: Callable[[list[Message]], None]) -> float:
        """Let `take` process slices of the messages for about BUDGET_S, and keep the rest in `waiting`.

        Returns how many seconds a message of the last slice took.
        """
        message_s = 0.0
        self.waiting = messages
        clock = self._monotonic
        began = clock()
        until = began + BUDGET_S
        while self.waiting and began < until:
            part, self.waiting = self.waiting[: self._size], self.waiting[self._size :]
            take(part)
            ended = clock()
            message_s = (ended - began) / len(part)
            if ended - began > BUDGET_S / 2:
                self._size = max(1, self._size // 4)
            else:
                self._size = min(self._largest, self._size * 2)
            began = ended
        return message_s

    def discard(self, partitions: Collection[Partition]) -> None:
        """Drop the waiting messages of these partitions."""
        if self.waiting:
            places = {(partition.topic, partition.number) for partition in partitions}
            self.waiting = [m for m in self.waiting if (m.topic(), m.partition()) not in places]
