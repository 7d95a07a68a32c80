"""Decides, for every record that arrives, whether it is a first arrival, a duplicate, or out of order.

Each lane has an order of its own. What a lane is, such as a topic's partition at one path, is for the user to say.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable
from enum import Enum
from typing import Generic, TypeVar

PAGE = 1 << 16
"""Offsets in one page of SeenOffsets: a page of bits has 8 KiB."""

LaneT = TypeVar("LaneT", bound=Hashable)


class Arrival(Enum):
    """What the arrival of an offset is, given what has arrived in its lane before."""

    FIRST = "it has not arrived before, nor has a higher one"
    DUPLICATE = "it has arrived before"
    OUT_OF_ORDER = "it has not arrived before, but a higher one has"


class SeenOffsets:
    """The offsets of one lane, one bit each, so that a long run fits in memory. Offsets are 0 or more."""

    __slots__ = ("_number", "_page", "_pages", "count", "highest", "lowest")

    def __init__(self, offsets: Iterable[int] = ()) -> None:
        self._pages: dict[int, bytearray] = {}
        self._number: int | None = None  # of the last offset's page, where the next offset most often is
        self._page = bytearray()
        self.count = 0
        self.lowest = self.highest = -1
        for offset in offsets:
            self.add(offset)

    def __contains__(self, offset: int) -> bool:
        """Whether this offset was added."""
        number, bit = divmod(offset, PAGE)
        return number in self._pages and bool(self._pages[number][bit >> 3] & 1 << (bit & 7))

    def add(self, offset: int) -> bool:
        """Add an offset; returns whether it is new."""
        number = offset >> 16
        if number != self._number:
            self._number, self._page = number, self._pages.setdefault(number, bytearray(PAGE // 8))
        index, mask = offset >> 3 & 0x1FFF, 1 << (offset & 7)
        if self._page[index] & mask:
            return False
        self._page[index] |= mask
        self.count += 1
        self.highest = max(self.highest, offset)
        if self.lowest < 0 or offset < self.lowest:
            self.lowest = offset
        return True

    @property
    def missing(self) -> int:
        """How many offsets between the lowest and the highest one are not in it."""
        return self.highest - self.lowest + 1 - self.count if self.count else 0

    def minus(self, other: "SeenOffsets") -> int:
        """How many of these offsets the other set does not have."""
        return sum(_bits(page, other._pages.get(number)) for number, page in self._pages.items())  # noqa: SLF001 - its own class


def _bits(page: bytearray, without: bytearray | None) -> int:
    own = int.from_bytes(page, "little")
    return (own & ~int.from_bytes(without or b"", "little")).bit_count()


class LaneOffsets(Generic[LaneT]):
    """A set of offsets for each lane."""

    def __init__(self) -> None:
        self.lanes: defaultdict[LaneT, SeenOffsets] = defaultdict(SeenOffsets)

    def __len__(self) -> int:
        """How many offsets it has."""
        return sum(seen.count for seen in self.lanes.values())

    def add(self, lane: LaneT, offset: int) -> bool:
        """Add an offset; returns whether it is new."""
        return self.lanes[lane].add(offset)

    def ends(self) -> dict[LaneT, int]:
        """The offset after the highest one of each lane."""
        return {lane: seen.highest + 1 for lane, seen in self.lanes.items()}

    def minus(self, other: "LaneOffsets[LaneT]") -> int:
        """How many of these offsets the other one does not have in the same lane."""
        return sum(seen.minus(other.lanes.get(lane, SeenOffsets())) for lane, seen in self.lanes.items())

    @property
    def missing(self) -> int:
        """How many offsets between the lowest and the highest one of each lane are not in it."""
        return sum(seen.missing for seen in self.lanes.values())


class ArrivalOrder(Generic[LaneT]):
    """Decides and counts arrivals. Not thread-safe: one arrival at a time."""

    def __init__(self) -> None:
        self.seen: LaneOffsets[LaneT] = LaneOffsets()
        self._lanes = self.seen.lanes
        self.duplicates = self.out_of_order = 0

    def add(self, lane: LaneT, offset: int) -> Arrival:
        """Add the arrival of an offset; returns what it is."""
        seen = self._lanes[lane]
        highest = seen.highest
        if not seen.add(offset):
            self.duplicates += 1
            return Arrival.DUPLICATE
        if offset < highest:
            self.out_of_order += 1
            return Arrival.OUT_OF_ORDER
        return Arrival.FIRST

    @property
    def records(self) -> int:
        """How many distinct records have arrived."""
        return len(self.seen)
