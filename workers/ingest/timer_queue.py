"""What the ingest loop does later, and again and again."""

import heapq
from collections.abc import Callable
from itertools import count

from webhookd.clock import Monotonic


class TimerQueue:
    """Actions by the moment they are due (monotonic seconds); owned by one thread."""

    def __init__(self, clock: Monotonic) -> None:
        self._clock = clock
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Run once, when the time has come."""
        heapq.heappush(self._due, (when, next(self._order), action))

    def every(self, interval_s: float, action: Callable[[], None]) -> None:
        """Run again and again; an action that raises runs again all the same."""

        def again() -> None:
            self.at(self._clock() + interval_s, again)
            action()

        self.at(self._clock() + interval_s, again)

    def run_due(self, now: float) -> None:
        """Run all that is due. What an action raises is the caller's; the rest stays due."""
        while self._due and self._due[0][0] <= now:
            heapq.heappop(self._due)[2]()

    def next_at(self) -> float:
        """When the next one is due; there always is one once `every` was called."""
        return self._due[0][0]
