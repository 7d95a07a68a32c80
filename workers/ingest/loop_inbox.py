"""Calls from other threads to the ingest loop, and the number of the loop's iteration."""

from collections.abc import Callable
from itertools import count
from queue import Empty, SimpleQueue

from webhookd.clock import Monotonic


class LoopInbox:
    """`put` may be called from any thread, the other methods on the loop's thread only.

    `iteration` is the number of the current iteration, 0 while the loop waits; any thread may read it.
    """

    def __init__(self, monotonic: Monotonic) -> None:
        self.iteration = 0
        self._monotonic = monotonic
        self._iterations = count(1)
        self._queue: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._pending = 0

    def put(self, action: Callable[[], None]) -> None:
        """Run an action on the loop's thread, after those that were put before; returns at once."""
        self._queue.put(action)

    def run_pending(self, for_s: float) -> bool:
        """Begin an iteration: run the calls that wait now, for about `for_s`; returns whether none of them is left."""
        self.iteration = next(self._iterations)
        self._pending = self._pending or self._queue.qsize()
        until = self._monotonic() + for_s
        while self._pending and self._monotonic() < until:
            self._pending -= 1
            self._queue.get_nowait()()
        return not self._pending

    def wait(self, for_s: float) -> None:
        """End the iteration, unless calls are left; wait at most `for_s` for one, and run it in a new iteration."""
        if self._pending:
            return
        self.iteration = 0
        try:
            call = self._queue.get(timeout=for_s)
        except Empty:
            return
        self.iteration = next(self._iterations)
        call()
