"""Threads for actions that may block: requests for offsets, and closing consumers."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from webhookd import logs

THREADS = 8
"""The number of threads for requests, and of those for closing. A consumer that closes blocks for 45 s while its
brokers are down; it must not delay requests."""

_log = logs.get(__name__)


class ThreadPool:
    """A few threads for requests, and others for closing; an action that raises is logged."""

    def __init__(self) -> None:
        self._requests = ThreadPoolExecutor(THREADS, thread_name_prefix="ingest-background")
        self._closing = ThreadPoolExecutor(THREADS, thread_name_prefix="ingest-closing")
        self._requests_pending: set[Future[None]] = set()
        self._closings_pending: set[Future[None]] = set()

    @property
    def closing(self) -> int:
        """How many actions for closing have not ended; from any thread."""
        return len(self._closings_pending)

    def run(self, action: Callable[[], None]) -> None:
        """Run on a thread for requests, soon; from any thread."""
        _submit(self._requests, self._requests_pending, action)

    def close(self, action: Callable[[], None]) -> None:
        """Run on a thread for closing, soon; it may block for long."""
        _submit(self._closing, self._closings_pending, action)

    def stop(self, budget_s: float) -> int:
        """Wait for all actions, for at most `budget_s`; returns how many did not end."""
        _, unfinished = wait([*self._requests_pending, *self._closings_pending], budget_s)
        self._requests.shutdown(wait=False)
        self._closing.shutdown(wait=False)
        return len(unfinished)


def _submit(pool: ThreadPoolExecutor, pending: set[Future[None]], action: Callable[[], None]) -> None:
    future = pool.submit(_logged, action)
    pending.add(future)
    future.add_done_callback(pending.discard)


def _logged(action: Callable[[], None]) -> None:
    try:
        action()
    except Exception:  # noqa: BLE001 - the top of a background thread: nothing reads its future
        _log.exception("background_failed")
