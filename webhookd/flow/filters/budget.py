"""What the filters of one subscription may cost on one record, all together.

477 characters of JMESPath can build a string of 2.7 GB, others never end, because values that an expression builds
share their parts and are walked as if they did not. A step is one node evaluated, or one element or key touched, in a
place whose number of turns the record or the expression's own values decide: projections, functions, comparisons of
two values of the record. Plain fields, comparisons with literals and logic cost nothing: NODES bounds them.
"""

from webhookd.errors import FilterTooCostly
from webhookd.flow.filters.paths import Value

STEPS = 20_000
"""About two milliseconds: all subscriptions of an ingest process share its one thread."""

SCANNED_SHIFT = 8
"""A step reads 256 characters of a string (comparing, searching)."""

BUILT_SHIFT = 4
"""A step builds 16 characters of a string, so that an evaluation builds a third of a megabyte at most."""


class Budget:
    """Steps that are left; `left` is set to STEPS before each record."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = STEPS

    def spend(self, steps: int) -> None:
        """Take `steps`, before they are made; FilterTooCostly when there are not as many."""
        self.left -= steps
        if self.left < 0:
            raise FilterTooCostly

    def spend_surface(self, value: Value) -> None:
        """Take what touching each element of `value` once costs, not looking into them."""
        kind = value.__class__
        if kind is str:
            self.spend(1 + (len(value) >> SCANNED_SHIFT))
        elif kind is list or kind is dict:
            self.spend(1 + len(value))
        else:
            self.spend(1)

    def spend_whole(self, value: Value, shift: int = SCANNED_SHIFT) -> None:
        """Take what walking all of `value` costs; a part that occurs twice counts twice, as it does in a walk."""
        waiting = [value]
        while waiting:
            item = waiting.pop()
            kind = item.__class__
            if kind is str:
                self.spend(1 + (len(item) >> shift))
            elif kind is list:
                self.spend(1 + len(item))
                waiting.extend(item)
            elif kind is dict:
                self.spend(1 + 2 * len(item))
                waiting.extend(item.keys())
                waiting.extend(item.values())
            elif kind is int:
                self.spend(1 + (item.bit_length() >> shift))
            else:
                self.spend(1)
