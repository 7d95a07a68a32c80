"""What other threads have to say to the ingest loop, and which turn the loop is in."""

from collections.abc import Callable
from itertools import count
from queue import Empty, SimpleQueue

from webhookd.clock import Monotonic


class LoopInbox:
    """`put` is for any thread, the rest for the loop's.

    `turn` is the number of the turn that runs, 0 while the loop waits for something to do; any thread may read it.
    """

    def __init__(self, monotonic: Monotonic) -> None:
        self.iteration = 0
        self._monotonic = monotonic
        self._iterations = count(1)
        self._queue: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._pending = 0

    def put(self, action: Callable[[], None]) -> None:
        """Have it run on the loop's thread, after what was put before."""
        self._queue.put(action)

    def run_pending(self, for_s: float) -> bool:
        """Begin a turn: run what was said by now, for about so long; answers whether that was all of it."""
        self.iteration = next(self._iterations)
        self._pending = self._pending or self._queue.qsize()
        until = self._monotonic() + for_s
        while self._pending and self._monotonic() < until:
            self._pending -= 1
            self._queue.get_nowait()()
        return not self._pending

    def wait(self, for_s: float) -> None:
        """End the turn, unless something is still unheard; run the first thing that is said within so long."""
        if self._pending:
            return
        self.iteration = 0
        try:
            call = self._queue.get(timeout=for_s)
        except Empty:
            return
        self.iteration = next(self._iterations)
        call()
