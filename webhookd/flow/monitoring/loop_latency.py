"""How long the iterations of the ingest loop take, measured by the ticks of another thread.

    a tick of the watchdog thread finds                 then
    the loop waiting for something to do                nothing is counted
    another iteration than the tick before              counting starts for it
    the same iteration as the tick before               it is one tick longer

Ticks are counted, not time: a process that was stopped, or had no processor, had no ticks either.
"""

from collections import deque

TICK_S = 0.05
SLOW_TICKS = 4
"""0.2 s: records of other subscriptions that arrive meanwhile are delayed by as much."""

STUCK_TICKS = 20
"""1 s: something blocks the loop."""

PERIOD_TICKS = 20
PERIODS = 60
"""The longest iteration is kept for a minute, in steps of a second."""


class LoopLatency:
    """Written by one thread; any thread may read `longest_s`."""

    def __init__(self) -> None:
        self._iteration = 0
        self._ticks = 0
        self._ticks_total = 0
        self._longest = 0
        self._periods: deque[int] = deque(maxlen=PERIODS)

    def tick(self, iteration: int) -> int:
        """One tick passed and found this iteration, 0 while the loop waits; returns how many ticks it has lasted."""
        self._ticks = self._ticks + 1 if iteration and iteration == self._iteration else 0
        self._iteration = iteration
        self._longest = max(self._longest, self._ticks)
        self._ticks_total += 1
        if self._ticks_total % PERIOD_TICKS == 0:
            self._periods.append(self._longest)
            self._longest = self._ticks
        return self._ticks

    @property
    def longest_s(self) -> float:
        """The longest iteration of the last minute; one that still runs counts with its length so far."""
        return max(self._longest, *list(self._periods), 0) * TICK_S
