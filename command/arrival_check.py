"""Checks what an endpoint has acknowledged: duplicates, order and gaps, for each path and partition.

A request that the endpoint did not acknowledge is not counted: webhookd sends its records again, as it should.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from webhookd.conversion import converter

PAGE = 1 << 16
"""Offsets in one page of SeenOffsets: a page of bits has 8 KiB."""


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


class SeenOffsets:
    """The offsets of one partition, one bit each, so that a long run fits in memory."""

    def __init__(self) -> None:
        self._pages: defaultdict[int, bytearray] = defaultdict(lambda: bytearray(PAGE // 8))
        self.count = 0
        self.lowest = self.highest = -1

    def add(self, offset: int) -> bool:
        """Add an offset; returns whether it is new."""
        page, bit = divmod(offset, PAGE)
        index, mask = bit >> 3, 1 << (bit & 7)
        if self._pages[page][index] & mask:
            return False
        self._pages[page][index] |= mask
        self.lowest = min(self.lowest, offset) if self.count else offset
        self.highest = max(self.highest, offset)
        self.count += 1
        return True

    @property
    def missing(self) -> int:
        """How many offsets between the lowest and the highest one are not in it."""
        return self.highest - self.lowest + 1 - self.count if self.count else 0


class ArrivalCheck:
    """Counts acknowledged requests. Not thread-safe: the receiver counts one at a time."""

    def __init__(self, *, report_gaps: bool) -> None:
        self.requests = self.acknowledged = self.records = self.duplicates = self.out_of_order = 0
        self._report_gaps = report_gaps
        self._lanes: defaultdict[Lane, SeenOffsets] = defaultdict(SeenOffsets)

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
        seen = self._lanes[lane]
        before, first = seen.highest, not seen.count
        if not seen.add(record.offset):
            self.duplicates += 1
            return f"DUPLICATE {lane} offset {record.offset}: acknowledged before"
        if record.offset < before:
            self.out_of_order += 1
            key = msgspec.json.encode(record.key).decode()
            return f"OUT OF ORDER {lane} offset {record.offset}, key {key}: after offset {before}"
        if self._report_gaps and not first and record.offset > before + 1:
            return (
                f"GAP {lane} offsets {before + 1} to {record.offset - 1} did not arrive before offset {record.offset}"
            )
        return ""

    def summary(self) -> str:
        """All counts, in one line."""
        missing = sum(seen.missing for seen in self._lanes.values())
        parts = [
            _counted(self.requests, "request"),
            f"{self.acknowledged:,} acknowledged",
            f"{_counted(self.records, 'record')} of {_counted(len(self._lanes), 'partition')}",
            _counted(self.duplicates, "duplicate"),
            f"{self.out_of_order:,} out of order",
            *([f"{_counted(missing, 'offset')} missing"] if self._report_gaps else []),
        ]
        return ", ".join(parts)


LINES_A_REQUEST = 3
"""A batch of 1,000 records that arrives again is not 1,000 lines."""


def _shortened(lines: list[str]) -> list[str]:
    more = len(lines) - LINES_A_REQUEST
    return [*lines[:LINES_A_REQUEST], f"and {more:,} more of this request"] if more > 0 else lines


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
