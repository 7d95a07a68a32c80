"""Running totals by label: counters of which only some subscriptions have series of their own."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

OTHER: Final = "other"
"""The label value of the subscriptions without series of their own. No subscription has this id."""


class SeriesTotals:
    """`width` totals for each label, and for OTHER. Owned by one thread.

    Totals of a label never become smaller while it is kept. Those of a label that is dropped are forgotten, and do not
    move to OTHER, whose rate would show them as new events.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._totals: dict[str, list[int]] = {OTHER: [0] * width}

    def keep(self, labels: Iterable[str]) -> None:
        """Keep these labels, and begin with zeros those that are new; drop the others."""
        before = self._totals
        kept = {label: before.get(label) or [0] * self._width for label in labels}
        self._totals = {OTHER: before[OTHER], **kept}

    def add(self, label: str, increments: Sequence[int]) -> None:
        """Add to the totals of a label, or to those of OTHER if the label is not kept."""
        totals = self._totals.get(label) or self._totals[OTHER]
        for index, number in enumerate(increments):
            totals[index] += number

    def values(self) -> Mapping[str, tuple[int, ...]]:
        """Return a copy of the totals by label."""
        return {label: tuple(totals) for label, totals in self._totals.items()}
