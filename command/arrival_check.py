"""Checks what an endpoint has acknowledged: duplicates, order and gaps, for each path and partition.

A request that the endpoint did not acknowledge is not counted: webhookd sends its records again, as it should.
"""

import json
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from webhookd.conversion import converter
from webhookd.testing.arrival_order import Arrival, ArrivalOrder


class Position(msgspec.Struct, frozen=True):
    """The fields of one element of `messages` that say which record it is."""

    topic: str
    partition: int
    offset: int
    key: object = None


class Delivery(msgspec.Struct, frozen=True):
    """The body of a delivery."""

    messages: list[Position]


_decoder = msgspec.json.Decoder(Delivery)
_delivery: Callable[[object], Delivery] = converter(Delivery)


class Lane(NamedTuple):
    """A partition, as one endpoint sees it: two subscriptions may send the same records to two paths."""

    path: str
    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]"


def positions_in(body: bytes) -> list[Position] | None:
    """Return the positions of the records in a delivery; None for a body that is not a delivery."""
    try:
        return _decoder.decode(body).messages
    except msgspec.ValidationError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _decoded_by_json(body)


def _decoded_by_json(body: bytes) -> list[Position] | None:
    """`msgspec` refuses some valid JSON, such as escapes of lone surrogates, which a record's value may have."""
    try:
        return _delivery(json.loads(body)).messages
    except (ValueError, RecursionError):  # msgspec.ValidationError is a ValueError
        return None


class ArrivalCheck:
    """Counts acknowledged requests. Not thread-safe: the receiver counts one at a time."""

    def __init__(self, *, report_gaps: bool) -> None:
        self.requests = self.acknowledged = self.records = 0
        self._report_gaps = report_gaps
        self._order: ArrivalOrder[Lane] = ArrivalOrder()

    @property
    def duplicates(self) -> int:
        """How many records have been acknowledged again."""
        return self._order.duplicates

    @property
    def out_of_order(self) -> int:
        """How many records have been acknowledged for the first time after a later one of their lane."""
        return self._order.out_of_order

    def add(self, path: str, records: Sequence[Position], *, acknowledged: bool) -> list[str]:
        """Count a request; returns a line for each thing that is wrong with it."""
        self.requests += 1
        if not acknowledged:
            return []
        self.acknowledged += 1
        self.records += len(records)
        found = (self._add(Lane(path, one.topic, one.partition), one) for one in records)
        return _shortened([line for line in found if line])

    def _add(self, lane: Lane, record: Position) -> str:
        seen = self._order.seen.lanes[lane]
        before, first = seen.highest, not seen.count
        match self._order.add(lane, record.offset):
            case Arrival.DUPLICATE:
                return f"DUPLICATE {lane} offset {record.offset}: acknowledged before"
            case Arrival.OUT_OF_ORDER:
                key = msgspec.json.encode(record.key).decode()
                return f"OUT OF ORDER {lane} offset {record.offset}, key {key}: after offset {before}"
        if not self._report_gaps or first or record.offset == before + 1:
            return ""
        return f"GAP {lane} offsets {before + 1} to {record.offset - 1} did not arrive before offset {record.offset}"

    def summary(self) -> str:
        """All counts, in one line."""
        parts = [
            _counted(self.requests, "request"),
            f"{self.acknowledged:,} acknowledged",
            f"{_counted(self.records, 'record')} of {_counted(len(self._order.seen.lanes), 'partition')}",
            _counted(self.duplicates, "duplicate"),
            f"{self.out_of_order:,} out of order",
            *([f"{_counted(self._order.seen.missing, 'offset')} missing"] if self._report_gaps else []),
        ]
        return ", ".join(parts)


LINES_A_REQUEST = 3
"""A batch of 1,000 records that arrives again is not 1,000 lines."""


def _shortened(lines: list[str]) -> list[str]:
    more = len(lines) - LINES_A_REQUEST
    return [*lines[:LINES_A_REQUEST], f"and {more:,} more of this request"] if more > 0 else lines


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
