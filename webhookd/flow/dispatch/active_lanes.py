"""Which lanes dispatched lately: the more there are, the longer a parcel waits for others to join it.

A subscription counts with at most `MOST_OF_ONE` of its lanes. Its lanes are read by one consumer and leave in one
parcel as it is, and the records of other subscriptions must not wait because one has many partitions.
"""

from collections import defaultdict
from collections.abc import Iterable

MOST_OF_ONE = 16


class ActiveLanes:
    """Owned by one thread."""

    def __init__(self) -> None:
        self._slots: defaultdict[str, set[str]] = defaultdict(set)
        self._count = 0
        self._before = 0

    @property
    def count(self) -> int:
        """The lanes of this second, or of the one before, if those were more."""
        return max(self._before, self._count)

    def update(self, dispatched: Iterable[tuple[str, str]]) -> None:
        """These lanes have dispatched: each by its subscription and its slot."""
        for subscription_id, slot in dispatched:
            slots = self._slots[subscription_id]
            if slot not in slots and len(slots) < MOST_OF_ONE:
                slots.add(slot)
                self._count += 1

    def second_over(self) -> None:
        """Count anew."""
        self._before, self._count = self._count, 0
        self._slots.clear()
