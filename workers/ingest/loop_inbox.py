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
        self.turn = 0
        self._monotonic = monotonic
        self._turns = count(1)
        self._queue: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._unheard = 0

    def put(self, action: Callable[[], None]) -> None:
        """Have it run on the loop's thread, after what was put before."""
        self._queue.put(action)

    def hear(self, for_s: float) -> bool:
        """Begin a turn: run what was said by now, for about so long; answers whether that was all of it."""
        self.turn = next(self._turns)
        self._unheard = self._unheard or self._queue.qsize()
        until = self._monotonic() + for_s
        while self._unheard and self._monotonic() < until:
            self._unheard -= 1
            self._queue.get_nowait()()
        return not self._unheard

    def wait(self, for_s: float) -> None:
        """End the turn, unless something is still unheard; run the first thing that is said within so long."""
        if self._unheard:
            return
        self.turn = 0
        try:
            said = self._queue.get(timeout=for_s)
        except Empty:
            return
        self.turn = next(self._turns)
        said()
