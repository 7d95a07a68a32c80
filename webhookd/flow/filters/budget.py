"""The budget: how many steps and how much memory all filters of a subscription together may use on one record.

Without a bound an expression of 477 characters can build a string of 2.7 GB, and others practically never end. The
cause: values that an expression builds share their parts in memory, but walking them visits a shared part each time.

A step is about 40 ns of evaluation: one node evaluated, or one element or key visited. Steps are counted only where
the record or a value built by the expression decides how often something runs (`costs` has the prices of nodes). Plain
fields, comparisons with literals, and logic cost no steps: `expression.NODES` bounds them.

The budget grows with the record, because an ordinary filter visits each of its values a few times, whatever the
record's size. The bound stops evaluations whose cost grows faster than the record.
"""

from webhookd.errors import FilterTooCostly
from webhookd.flow.filters.paths import Value

STEPS = 20_000
"""Steps for a record of any size: about a millisecond, since all subscriptions of an ingest process share a thread."""

STEPS_A_VALUE = 32
"""More steps for each value in the record: enough for five ordinary filters that visit every value."""

STEPS_MAX = 12_000_000
"""The most that a record's values add, so that no record takes longer than about half a second. A record of 1 MB can
hold half a million one-digit numbers; this gives each of them 24 steps."""

TEXT_SHIFT = 5
"""Each 32 (2 to the power of 5) bytes of a record also count as a value: this pays for the scanning of strings."""

BUILT_BYTES = 1 << 20
"""Bytes that the filters may build on a record of any size, counting values that are already freed."""

BUILT_A_BYTE = 64
BUILT_MAX = 1 << 26
"""More bytes for each byte of the record, up to 64 MiB. Decoding the record may take half as much."""

SCANNED_SHIFT = 8
"""One step pays for 256 (2 to the power of 8) characters of a string that is compared or searched."""

WRITTEN_SHIFT = 4
"""One step pays for 16 (2 to the power of 4) characters of a string that is built."""

CHARACTER_BYTES = 4
"""The most that a character takes in memory."""

ESCAPED_BYTES = 12
"""The most that a character takes in JSON text, where everything beyond ASCII is escaped."""

POINTER_BYTES = 8
"""A reference to a value, in a list."""

NUMBER_BYTES = 24
"""The longest floating-point number as text. A longer integer takes more steps, and so many times these bytes."""


def values_in(value: bytes) -> int:
    """Estimate how many values a record holds: count its commas and brackets, also those inside strings."""
    marks = value.count(b",") + value.count(b"[") + value.count(b"{")
    return min(marks + (len(value) >> TEXT_SHIFT), len(value) >> 1)


class Budget:
    """The steps (`left`) and bytes (`room`) that remain for one record; `refill` sets both.

    The part that depends on the record is added only when the fixed part is used up, because few evaluations need it.
    """

    __slots__ = ("left", "record", "room")

    def __init__(self) -> None:
        self.refill(b"")

    def refill(self, record: bytes) -> None:
        """Start the budget for another record; an empty one (`b""`) adds nothing to the fixed part."""
        self.record = record
        self.left: float = STEPS
        self.room: float = BUILT_BYTES

    def spend(self, steps: int, built_bytes: int = 0) -> None:
        """Charge steps before they run, and bytes before they are built; raise FilterTooCostly if too few remain."""
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
        """Charge a visit to each element of `value`, without what is inside them; both prices are for one element."""
        kind = value.__class__
        if kind is str:
            self.spend(1 + (len(value) >> SCANNED_SHIFT))
        elif kind is list or kind is dict:
            self.spend(1 + len(value) * steps, len(value) * built_bytes)
        else:
            self.spend(1)

    def spend_whole(self, value: Value, *, written: bool = False) -> int:
        """Charge a visit to everything in `value`, or writing it as JSON; returns the steps.

        A part that occurs twice is charged twice, since it is also visited twice.
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
