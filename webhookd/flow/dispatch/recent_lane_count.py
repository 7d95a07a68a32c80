"""How many lanes dispatched recently: the more there are, the longer a task waits for further deliveries to join it.

At most MAX_PER_SUBSCRIPTION lanes of a subscription are counted. One consumer reads all of its lanes, so they leave in
one task in any case. Records of other subscriptions must not wait because one subscription has many partitions.
"""

from collections import defaultdict
from collections.abc import Iterable

MAX_PER_SUBSCRIPTION = 16


class RecentLaneCount:
    """Counts the lanes that dispatched in each second; owned by one thread."""

    def __init__(self) -> None:
        self._claim_keys: defaultdict[str, set[str]] = defaultdict(set)
        self._count = 0
        self._before = 0

    @property
    def count(self) -> int:
        """The number of lanes in this second, or in the previous one if that was larger."""
        return max(self._before, self._count)

    def update(self, dispatched: Iterable[tuple[str, str]]) -> None:
        """Count lanes that have dispatched; each is given by its subscription and its claim key."""
        for subscription_id, claim_key in dispatched:
            keys = self._claim_keys[subscription_id]
            if claim_key not in keys and len(keys) < MAX_PER_SUBSCRIPTION:
                keys.add(claim_key)
                self._count += 1

    def next_second(self) -> None:
        """Begin the count of the next second."""
        self._before, self._count = self._count, 0
        self._claim_keys.clear()
