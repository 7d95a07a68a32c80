"""How far a subscription is behind: the offsets between its watermarks and the ends of its partitions.

lane                                       where its partition ends
read to the end, and reads on              there
reads on                                   where the last fetch said that it ends
paused, held, or not readable              where the brokers said that it ends, when they were asked lately
(read_errors.py)
just paused, and nobody was asked yet      where the last fetch said that it ends

An end is where a reader of committed records stops: a transaction that is still open counts for nothing once all
before it is read. While a lane is behind, the fetches count the open transaction too. A lane without an end, or whose
position is not known yet, makes the lag of the whole subscription unknown, and so do brokers that do not answer.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Final

from webhookd.flow.batching.circuit_breaker import CircuitState
from webhookd.flow.dispatch.delivery import Lane
from webhookd.flow.offsets.ledger import UNREAD
from webhookd.flow.offsets.position import Partition

FRESH_S: Final = 75.0
"""An end that was asked for counts for so long: several questions may fail."""

UNANSWERED_S: Final = 30.0
"""Fetches tell nothing when the brokers have answered nobody for so long."""


class Ends:
    """Where the partitions end that are not read at the moment; times are monotonic seconds."""

    def __init__(self) -> None:
        self._told: dict[Partition, tuple[int, float]] = {}

    def told(self, ends: Mapping[Partition, int], now: float) -> None:
        """The brokers were asked, and said so."""
        self._told.update({partition: (end, now) for partition, end in ends.items()})

    def forget(self, partition: Partition) -> None:
        """The partition is somebody else's, or another topic's."""
        self._told.pop(partition, None)

    def of(self, partition: Partition, now: float) -> int | None:
        """Where a partition ends; None when nobody said so lately."""
        end, at = self._told.get(partition, (0, now - FRESH_S))
        return end if now - at < FRESH_S else None


def is_fetched(lane: Lane, *, readable: bool) -> bool:
    """Whether fetches tell where the lane's partition ends."""
    return readable and lane.circuit.state is CircuitState.CLOSED and not lane.paused


def lag(
    lanes: Collection[Lane],
    ends: Ends,
    now: float,
    *,
    fetched: Callable[[Partition], int | None],
    readable: Callable[[Partition], bool],
) -> int | None:
    """How many offsets the lanes are behind, together; None when that cannot be told."""
    total = 0
    for lane in lanes:
        can_be_read = readable(lane.partition)
        if not is_fetched(lane, readable=can_be_read):
            end = ends.of(lane.partition, now)
            if end is None and can_be_read and lane.circuit.state is CircuitState.CLOSED:
                end = fetched(lane.partition)
        elif lane.at_end:
            end = lane.end_offset
        else:
            end = fetched(lane.partition)
        watermark = lane.ledger.watermark
        if end is None or watermark == UNREAD:
            return None
        total += max(0, end - watermark)
    return total if lanes else None
