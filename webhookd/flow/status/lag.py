"""The lag of a subscription: the offsets between its watermarks and the ends of its partitions.

lane                                            end offset of its partition
fetching, has reached the end                   its position
fetching                                        the end of the last fetch
paused, its circuit is open, or not readable    the brokers' answer, if it is recent
(kafka_read_errors.py)
just paused, the brokers have not answered      the end of the last fetch

The end is the offset at which a consumer of committed records stops: an open transaction is not counted when every
record before it is read. While a lane is behind, the end of its last fetch includes an open transaction. The lag of the
subscription is unknown while a lane has no end or no known position, and while the brokers do not answer.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Final

from webhookd.flow.batching.circuit_breaker import CircuitState
from webhookd.flow.dispatch.delivery import Lane
from webhookd.flow.offsets.position import UNREAD, Partition

END_VALID_S: Final = 75.0
"""How long an end that the brokers returned is used: several requests in a row may fail."""

NO_ANSWER_S: Final = 30.0
"""When no broker has answered for this long, the ends of the last fetches are not used."""


class EndOffsets:
    """The ends of partitions that are not fetched, as the brokers returned them; times are monotonic seconds."""

    def __init__(self) -> None:
        self._ends: dict[Partition, tuple[int, float]] = {}

    def update(self, ends: Mapping[Partition, int], now: float) -> None:
        """Store the ends that the brokers have returned."""
        self._ends.update({partition: (end, now) for partition, end in ends.items()})

    def forget(self, partition: Partition) -> None:
        """Drop the end of a partition: it is assigned elsewhere, or its topic was recreated."""
        self._ends.pop(partition, None)

    def get(self, partition: Partition, now: float) -> int | None:
        """Return the end of a partition; None when the brokers have not returned it recently."""
        end, at = self._ends.get(partition, (0, now - END_VALID_S))
        return end if now - at < END_VALID_S else None


def is_fetched(lane: Lane, *, readable: bool) -> bool:
    """Return whether the lane is being fetched, so that fetches return the end of its partition."""
    return readable and lane.circuit.state is CircuitState.CLOSED and not lane.paused


def lag(
    lanes: Collection[Lane],
    ends: EndOffsets,
    now: float,
    *,
    fetched: Callable[[Partition], int | None],
    readable: Callable[[Partition], bool],
) -> int | None:
    """Return by how many offsets the lanes are behind, in total; None when that is unknown.

    `fetched` returns the end that the last fetch of a partition returned, None before the first fetch.
    """
    total = 0
    for lane in lanes:
        can_be_read = readable(lane.partition)
        if not is_fetched(lane, readable=can_be_read):
            end = ends.get(lane.partition, now)
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
