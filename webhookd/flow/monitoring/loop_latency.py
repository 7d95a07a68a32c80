"""The duration of the ingest loop's iterations, measured by another thread: which are slow, and the longest recent one.

    a tick of the watchdog's thread finds               then
    the loop waiting for work                           nothing is counted
    another iteration than the tick before              it is counted from this tick on
    the same iteration as the tick before               it is one tick longer

Ticks are counted, not time: a process that was stopped, or got no CPU, had no ticks either.
"""

from collections import deque

TICK_S = 0.05
SLOW_TICKS = 4
"""0.2 s: a record of another subscription that arrives meanwhile is delayed by as much."""

STUCK_TICKS = 20
"""1 s: something blocks the loop."""

PERIOD_TICKS = 20
PERIODS = 60
"""The longest iteration is that of the last minute, in steps of a second."""


class LoopLatency:
    """Counts the ticks of each iteration; used by one thread. Any thread may read `longest_iteration_s`."""

    def __init__(self) -> None:
        self._iteration = 0
        self._ticks = 0
        self._seen = 0
        self._longest_ticks = 0
        self._periods: deque[int] = deque(maxlen=PERIODS)

    def tick(self, iteration: int) -> int:
        """Count a tick; `iteration` is 0 while the loop waits. Return how many ticks the iteration has lasted."""
        self._ticks = self._ticks + 1 if iteration and iteration == self._iteration else 0
        self._iteration = iteration
        self._longest_ticks = max(self._longest_ticks, self._ticks)
        self._seen += 1
        if self._seen % PERIOD_TICKS == 0:
            self._periods.append(self._longest_ticks)
            self._longest_ticks = self._ticks
        return self._ticks

    @property
    def longest_iteration_s(self) -> float:
        """The longest iteration of the last minute; the current one counts with its duration so far."""
        return max(self._longest_ticks, *list(self._periods), 0) * TICK_S
