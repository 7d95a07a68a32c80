"""Threads for what may block: closing a consumer, asking for offsets."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from webhookd import logs

THREADS = 8
"""Of each kind: a consumer that closes blocks for 45 s while its brokers are away, and must hold up no question."""

_log = logs.get(__name__)


class ThreadPool:
    """A few threads for questions, and others for closing; an action that raises is logged."""

    def __init__(self) -> None:
        self._questions = ThreadPoolExecutor(THREADS, thread_name_prefix="ingest-background")
        self._closing = ThreadPoolExecutor(THREADS, thread_name_prefix="ingest-closing")
        self._pending: set[Future[None]] = set()

    def run(self, action: Callable[[], None]) -> None:
        """Run soon, on some thread."""
        self._submit(self._questions, action)

    def close(self, action: Callable[[], None]) -> None:
        """Run soon, on some thread of those for closing: it may block for long."""
        self._submit(self._closing, action)

    def stop(self, budget_s: float) -> int:
        """Wait for what runs, at most so long; answers how many did not end."""
        _, unfinished = wait(list(self._pending), budget_s)
        self._questions.shutdown(wait=False)
        self._closing.shutdown(wait=False)
        return len(unfinished)

    def _submit(self, pool: ThreadPoolExecutor, action: Callable[[], None]) -> None:
        pending = pool.submit(_logged, action)
        self._pending.add(pending)
        pending.add_done_callback(self._pending.discard)


def _logged(action: Callable[[], None]) -> None:
    try:
        action()
    except Exception:  # noqa: BLE001 - the top of a background thread; nobody looks at its future
        _log.exception("background_failed")
