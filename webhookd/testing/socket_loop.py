"""Serves sockets on one thread: their events, timers, and calls from other threads."""

import heapq
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

from webhookd.edges.http_client.poller import Poller

_LONGEST_WAIT_S = 60.0
_PATIENCE_S = 10.0

Call = Callable[[], None]


class SocketLoop:
    """Runs until it is stopped. Only `call`, `call_and_wait` and `stop` may be used from other threads."""

    def __init__(self) -> None:
        self.poller = Poller()
        self._timers: list[tuple[float, int, Call]] = []
        self._timers_made = 0
        self._calls: deque[Call] = deque()
        self._thread: int | None = None
        self.running = threading.Event()
        self._stopped = False

    def run(self) -> None:
        """Serve on this thread until `stop`; then everything that is left is unserved, and the poller open."""
        self._thread = threading.get_ident()
        self.running.set()
        try:
            while not self._stopped:
                self._serve_events()
                self._run_due()
        finally:
            self._thread = None
            self._run_calls()

    def stop(self) -> None:
        """Make `run` return soon; it does not block. A signal handler may call it."""
        self._stopped = True
        self.poller.wake()

    def later(self, delay_s: float, call: Call) -> None:
        """Call this on the loop's thread after so long."""
        self._timers_made += 1  # two timers of the same time keep their order
        heapq.heappush(self._timers, (time.monotonic() + delay_s, self._timers_made, call))

    def call(self, call: Call) -> None:
        """Call this on the loop's thread soon."""
        self._calls.append(call)
        self.poller.wake()

    def call_and_wait(self, call: Call) -> None:
        """Call this on the loop's thread and wait until it has returned; when no loop runs, on this thread.

        Raises what it raises, and TimeoutError when the loop does not come to it in 10 s.
        """
        if self._thread in {None, threading.get_ident()}:
            call()
            return
        done: Future[None] = Future()
        self.call(partial(_settle, done, call))
        done.result(_PATIENCE_S)

    def _serve_events(self) -> None:
        poller = self.poller
        for fd, events in poller.poll(self._wait_s()):
            pollable = poller.registered.get(fd)
            if pollable is None:
                poller.clear_wake_up(fd)
            else:
                pollable.handle_events(events)

    def _wait_s(self) -> float:
        if self._calls:
            return 0.0
        if not self._timers:
            return _LONGEST_WAIT_S
        return min(_LONGEST_WAIT_S, max(0.0, self._timers[0][0] - time.monotonic()))

    def _run_due(self) -> None:
        self._run_calls()
        if not self._timers:
            return
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2]()

    def _run_calls(self) -> None:
        while self._calls:
            self._calls.popleft()()


def _settle(done: Future[None], call: Call) -> None:
    try:
        call()
    except Exception as error:  # noqa: BLE001  # the caller gets it
        done.set_exception(error)
    else:
        done.set_result(None)
