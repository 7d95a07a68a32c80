"""Runs blocking calls on threads of their own, so that a request can stop waiting for them.

`getaddrinfo` has no timeout. The threads are daemon threads: a call that hangs does not prevent the process from
ending. A pool of `concurrent.futures` would wait for it.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Result = TypeVar("Result")


class BoundedCalls:
    """At most `limit` calls at the same time, those included for which nobody waits any more; any thread."""

    def __init__(self, limit: int) -> None:
        self._free = threading.Semaphore(limit)

    def start(self, call: Callable[[], Result]) -> Future[Result]:
        """Start a call; with `limit` calls in progress, the result is a TimeoutError."""
        future: Future[Result] = Future()
        if not self._free.acquire(blocking=False):
            future.set_exception(TimeoutError("too many calls are in progress"))
            return future
        threading.Thread(target=self._run, args=(call, future), name="bounded-call", daemon=True).start()
        return future

    def _run(self, call: Callable[[], Result], future: Future[Result]) -> None:
        try:
            future.set_result(call())
        except Exception as error:  # noqa: BLE001  # whoever waits gets it
            future.set_exception(error)
        finally:
            self._free.release()
