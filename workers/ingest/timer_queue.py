"""The timers of the ingest loop: actions that run later, once or repeatedly."""

import heapq
from collections.abc import Callable
from itertools import count

from webhookd.clock import Monotonic


class TimerQueue:
    """Actions ordered by when they are due, in seconds of the monotonic `clock`; owned by one thread."""

    def __init__(self, clock: Monotonic) -> None:
        self.clock = clock
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Run once, at `when` or soon after."""
        heapq.heappush(self._due, (when, next(self._order), action))

    def every(self, interval_s: float, action: Callable[[], None]) -> None:
        """Run repeatedly, also after the action has raised."""

        def again() -> None:
            self.at(self.clock() + interval_s, again)
            action()

        self.at(self.clock() + interval_s, again)

    def run_due(self, now: float) -> None:
        """Run all actions that are due. Raises the error of an action that fails; the remaining actions stay due."""
        while self._due and self._due[0][0] <= now:
            heapq.heappop(self._due)[2]()

    def next_at(self) -> float:
        """When the next action is due. There is always one once `every` was called."""
        return self._due[0][0]
