"""Counts what one endpoint has received: distinct records, duplicates, order and latency."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from webhookd.testing.arrival_order import Arrival, ArrivalOrder, LaneOffsets

PartitionKey = tuple[str, int]
Offsets = LaneOffsets[PartitionKey]


class Received(msgspec.Struct, frozen=True):
    """The fields of one element of `messages` that a receiver needs."""

    topic: str
    partition: int
    offset: int
    timestamp: int


class Body(msgspec.Struct, frozen=True):
    """The body of one request."""

    messages: list[Received]


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Percentiles of the time from a record's timestamp to its arrival; None without measurements."""

    p50_s: float | None
    p99_s: float | None


class Tally:
    """Counts for one endpoint. Not thread-safe: the receiver counts one request at a time."""

    def __init__(self) -> None:
        self.requests = 0
        self.measuring = True
        self._order: ArrivalOrder[PartitionKey] = ArrivalOrder()
        self._late_s = array("f")

    @property
    def delivered(self) -> Offsets:
        """The distinct records."""
        return self._order.seen

    @property
    def duplicates(self) -> int:
        """How many records have arrived again."""
        return self._order.duplicates

    @property
    def out_of_order(self) -> int:
        """How many records have arrived for the first time after a later one of their partition."""
        return self._order.out_of_order

    def add(self, messages: Sequence[Received], now: float) -> None:
        """Count one request; `now` is in seconds since the epoch."""
        self.requests += 1
        for message in messages:
            arrival = self._order.add((message.topic, message.partition), message.offset)
            if self.measuring and arrival is not Arrival.DUPLICATE:
                self._late_s.append(now - message.timestamp / 1000)

    def latency(self) -> Latency:
        """The percentiles up to now."""
        ordered = sorted(self._late_s)
        if not ordered:
            return Latency(p50_s=None, p99_s=None)
        return Latency(p50_s=ordered[len(ordered) // 2], p99_s=ordered[len(ordered) * 99 // 100])
