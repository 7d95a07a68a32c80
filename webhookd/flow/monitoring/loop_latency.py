"""How long the ingest loop's turns take, as a thread beside it sees them: which are slow, and the longest lately.

    a tick of the watching thread finds                 then
    the loop waiting for something to do                nothing is counted
    another turn than the tick before                   it is counted from here
    the turn that the tick before found                 it is one tick longer

Ticks are counted, not time: a process that was stopped, or got no processor, has had no ticks either.
"""

from collections import deque

TICK_S = 0.05
SLOW_TICKS = 4
"""0.2 s: a record of another subscription that arrives meanwhile is as late."""

STUCK_TICKS = 20
"""1 s: something blocks."""

PERIOD_TICKS = 20
PERIODS = 60
"""The longest turn is that of the last minute, in steps of a second."""


class LoopLatency:
    """Fed by one thread; `longest_iteration_s` may be read from any."""

    def __init__(self) -> None:
        self._turn = 0
        self._ticks = 0
        self._seen = 0
        self._longest = 0
        self._periods: deque[int] = deque(maxlen=PERIODS)

    def tick(self, iteration: int) -> int:
        """One tick passed and found this turn, 0 where the loop waits; answers for how many ticks it has lasted."""
        self._ticks = self._ticks + 1 if iteration and iteration == self._turn else 0
        self._turn = iteration
        self._longest = max(self._longest, self._ticks)
        self._seen += 1
        if self._seen % PERIOD_TICKS == 0:
            self._periods.append(self._longest)
            self._longest = self._ticks
        return self._ticks

    @property
    def longest_iteration_s(self) -> float:
        """The longest turn of the last minute; one that lasts still counts as far as it has come."""
        return max(self._longest, *list(self._periods), 0) * TICK_S
