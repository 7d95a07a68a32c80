"""What the filters of one subscription may cost on one record, all together.

477 characters of JMESPath can build a string of 2.7 GB, others never end, because values that an expression builds
share their parts and are walked as if they did not. A step is some 40 ns of evaluation: one node evaluated, or one
element or key touched, in a place whose number of turns the record or the expression's own values decide (`costs` has
the prices of nodes). Plain fields, comparisons with literals and logic cost nothing: NODES bounds them.

The record decides how much it may cost: ordinary filters pass over its values a few times, whatever its size, and
what grows faster than the record is what the bound is for.
"""

from webhookd.errors import FilterTooCostly
from webhookd.flow.filters.paths import Value

STEPS = 20_000
"""What every record may cost, about a millisecond: all subscriptions of an ingest process share its one thread."""

STEPS_A_VALUE = 32
"""And for each value that the record holds: five ordinary filters that visit every one of them."""

STEPS_MAX = 12_000_000
"""Whatever the record, so that none takes longer than about half a second. Half a million elements get 24 steps each,
which is what a record of 1 MB can hold of one-digit numbers."""

TEXT_SHIFT = 5
"""32 bytes of a record count as a value too: what texts cost."""

BUILT_BYTES = 1 << 20
"""What an evaluation may build, garbage included, whatever the record."""

BUILT_A_BYTE = 64
BUILT_MAX = 1 << 26
"""And for each byte of the record, up to 64 MiB: decoding it may take half of that."""

SCANNED_SHIFT = 8
"""A step reads 256 characters of a string (comparing, searching)."""

WRITTEN_SHIFT = 4
"""A step writes 16 characters of a string."""

CHARACTER_BYTES = 4
ESCAPED_BYTES = 12
"""The most that a character takes in memory; and in JSON, where a string is written as ASCII."""

POINTER_BYTES = 8

NUMBER_BYTES = 24
"""The longest floating-point number; an integer is charged more steps the longer it is."""


def values_in(value: bytes) -> int:
    """About how many values a record holds: its commas and brackets are counted, also those in texts."""
    marks = value.count(b",") + value.count(b"[") + value.count(b"{")
    return min(marks + (len(value) >> TEXT_SHIFT), len(value) >> 1)


class Budget:
    """Steps that are `left` and bytes that are (`room`) for one record, set by `refill`.

    What the record's size adds is found out only when the evaluation comes to need it: few do.
    """

    __slots__ = ("left", "record", "room")

    def __init__(self) -> None:
        self.refill(b"")

    def refill(self, record: bytes) -> None:
        """Begin with another record; the empty one adds nothing."""
        self.record = record
        self.left: float = STEPS
        self.room: float = BUILT_BYTES

    def spend(self, steps: int, built_bytes: int = 0) -> None:
        """Take `steps` before they are made, and room for what they build; FilterTooCostly when there is not enough."""
        self.left -= steps
        self.room -= built_bytes
        if self.left < 0 or self.room < 0:
            self._extend()

    def _extend(self) -> None:
        record, self.record = self.record, b""
        self.left += min(STEPS_A_VALUE * values_in(record), STEPS_MAX)
        self.room += min(BUILT_A_BYTE * len(record), BUILT_MAX)
        if self.left < 0 or self.room < 0:
            raise FilterTooCostly

    def spend_surface(self, value: Value, steps: int = 1, built_bytes: int = POINTER_BYTES) -> None:
        """Take what touching each element of `value` costs, not looking into them; both prices are for an element."""
        kind = value.__class__
        if kind is str:
            self.spend(1 + (len(value) >> SCANNED_SHIFT))
        elif kind is list or kind is dict:
            self.spend(1 + len(value) * steps, len(value) * built_bytes)
        else:
            self.spend(1)

    def spend_whole(self, value: Value, *, written: bool = False) -> int:
        """Take what walking all of `value` costs, or writing it as JSON; returns the steps.

        A part that occurs twice counts twice, as it does in a walk.
        """
        shift = WRITTEN_SHIFT if written else SCANNED_SHIFT
        spent = 0
        waiting = [value]
        while waiting:
            item = waiting.pop()
            kind = item.__class__
            steps = 1
            if kind is str:
                steps += len(item) >> shift
            elif kind is int:
                steps += item.bit_length() >> shift
            elif kind is list:
                steps += 2 + 2 * len(item)
                waiting += item
            elif kind is dict:
                steps += 2 + 3 * len(item)
                waiting += item
                waiting += item.values()
            self.spend(steps, _written_bytes(item, steps) if written else 0)
            spent += steps
        return spent


def _written_bytes(item: Value, steps: int) -> int:
    if item.__class__ is not str:
        return NUMBER_BYTES * steps
    return len(item) * (2 if item.isascii() and item.isprintable() else ESCAPED_BYTES)
