"""Which subscriptions have series of their own: the number of series in Prometheus must be bounded.

A subscription keeps its series as long as possible, because another label value begins new series.

subscription without series    gets those                             when
any                            that nobody has                        they are free
unhealthy                      of the healthy one with least traffic  at once
healthy                        of the healthy one with least traffic  at a review, if it has BUSIER times its traffic
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Final

REVIEW_S: Final = 60.0
"""How often the traffic is compared. After each time the earlier traffic counts half."""

BUSIER: Final = 2.0
"""Two subscriptions with about the same traffic must not take the series from each other again and again."""


class SubscriptionSeries:
    """The `ids` of the chosen subscriptions, at most `bound`. Owned by one thread.

    `update` must be called in the order of time.
    """

    def __init__(self, bound: int, now: float) -> None:
        self.ids: set[str] = set()
        self._bound = bound
        self._traffic: defaultdict[str, float] = defaultdict(float)
        self._review_at = now + REVIEW_S

    def update(
        self, present: AbstractSet[str], unhealthy: AbstractSet[str], records: Mapping[str, int], now: float
    ) -> None:
        """Choose anew. `present` are all subscriptions, `unhealthy` some of them; `records` came since the last call.

        `now` is monotonic seconds.
        """
        self.ids &= present
        if len(present) <= self._bound:
            self.ids |= present
        for id_, number in records.items():
            self._traffic[id_] += number
        if len(present) > self._bound:
            self._fill(present, unhealthy)
            self._prefer(unhealthy)
        if now >= self._review_at:
            self._review(present, unhealthy)
            self._review_at = now + REVIEW_S

    def _fill(self, present: AbstractSet[str], unhealthy: AbstractSet[str]) -> None:
        free = self._bound - len(self.ids)
        if free:
            without = present - self.ids
            first = [*self._busiest(without & unhealthy), *self._busiest(without - unhealthy)]
            self.ids.update(first[:free])

    def _prefer(self, unhealthy: AbstractSet[str]) -> None:
        healthy = self.ids - unhealthy
        newcomers = unhealthy - self.ids if healthy else set()
        if newcomers:
            for evicted, newcomer in zip(reversed(self._busiest(healthy)), self._busiest(newcomers), strict=False):
                self._swap(evicted, newcomer)

    def _review(self, present: AbstractSet[str], unhealthy: AbstractSet[str]) -> None:
        newcomers = self._busiest(present - self.ids - unhealthy)
        for evicted, newcomer in zip(reversed(self._busiest(self.ids - unhealthy)), newcomers, strict=False):
            if self._traffic[newcomer] <= BUSIER * self._traffic[evicted]:
                break
            self._swap(evicted, newcomer)
        halves = {id_: number / 2 for id_, number in self._traffic.items() if id_ in present and number >= 1}
        self._traffic = defaultdict(float, halves)

    def _swap(self, evicted: str, newcomer: str) -> None:
        self.ids.discard(evicted)
        self.ids.add(newcomer)

    def _busiest(self, ids: Iterable[str]) -> list[str]:
        traffic = self._traffic
        return sorted(ids, key=lambda id_: (-traffic.get(id_, 0.0), id_))
