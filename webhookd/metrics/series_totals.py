"""Running totals by label: counters of which only some subscriptions have series of their own."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

OTHER: Final = "other"
"""The label value of the subscriptions without series of their own. No subscription has this id."""

SHOWN_S: Final = 60.0
"""A dropped label is still shown for this long, so that Prometheus, which seldom scrapes less often than once a minute,
sees what was added last."""


class SeriesTotals:
    """`width` totals for each label, and for OTHER. Owned by one thread; `now` is in monotonic seconds.

    Totals of a label never become smaller while it is shown. A label that is dropped gets no more increments, and is
    shown for SHOWN_S; a label that is kept again meanwhile continues. Then its totals are forgotten, and do not move to
    OTHER, whose rate would show them as new events.

    No more labels are shown after they were dropped than `bound`: beyond it the first dropped ones are forgotten.
    """

    def __init__(self, width: int, bound: int) -> None:
        self._width = width
        self._bound = bound
        self._totals: dict[str, list[int]] = {OTHER: [0] * width}
        self._dropped: dict[str, tuple[float, list[int]]] = {}

    def keep(self, labels: Iterable[str], now: float) -> None:
        """Keep these labels, and begin with zeros those that are new; drop the others."""
        before, self._totals = self._totals, {OTHER: self._totals[OTHER]}
        for label in labels:
            self._totals[label] = before.pop(label, []) or self._dropped.pop(label, (now, [0] * self._width))[1]
        del before[OTHER]
        self._dropped.update({label: (now, totals) for label, totals in before.items()})
        self._forget(now)

    def _forget(self, now: float) -> None:
        shown = [(label, one) for label, one in self._dropped.items() if now - one[0] < SHOWN_S]
        self._dropped = dict(shown[max(0, len(shown) - self._bound) :])

    def has(self, label: str) -> bool:
        """Whether the label is kept."""
        return label in self._totals

    def add(self, label: str, increments: Sequence[int]) -> None:
        """Add to the totals of a label, or to those of OTHER if the label is not kept."""
        totals = self._totals.get(label) or self._totals[OTHER]
        for index, number in enumerate(increments):
            totals[index] += number

    def values(self) -> Mapping[str, tuple[int, ...]]:
        """Return a copy of the totals by label, also of dropped ones that are still shown."""
        shown = {label: tuple(totals) for label, (_, totals) in self._dropped.items()}
        return shown | {label: tuple(totals) for label, totals in self._totals.items()}
