"""How many lanes dispatched lately: the more there are, the longer a task waits for further deliveries to join it.

A subscription counts with at most MAX_PER_SUBSCRIPTION of its lanes. One consumer reads all of them, so they leave in
one task anyway, and records of other subscriptions must not wait because one subscription has many partitions.
"""

from collections import defaultdict
from collections.abc import Iterable

MAX_PER_SUBSCRIPTION = 16


class RecentlyDispatched:
    """Owned by one thread."""

    def __init__(self) -> None:
        self._claim_keys: defaultdict[str, set[str]] = defaultdict(set)
        self._count = 0
        self._before = 0

    @property
    def count(self) -> int:
        """The lanes of this second, or of the one before if those were more."""
        return max(self._before, self._count)

    def update(self, dispatched: Iterable[tuple[str, str]]) -> None:
        """These lanes have dispatched: each by its subscription and its claim key."""
        for subscription_id, claim_key in dispatched:
            keys = self._claim_keys[subscription_id]
            if claim_key not in keys and len(keys) < MAX_PER_SUBSCRIPTION:
                keys.add(claim_key)
                self._count += 1

    def next_second(self) -> None:
        """Begin a new count."""
        self._before, self._count = self._count, 0
        self._claim_keys.clear()
