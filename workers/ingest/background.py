"""Threads for what may block: closing a consumer, asking for offsets."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from webhookd import logs

THREADS = 8

_log = logs.get(__name__)


class Background:
    """A few threads; an action that raises is logged."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="ingest-background")
        self._pending: set[Future[None]] = set()

    def run(self, action: Callable[[], None]) -> None:
        """Run soon, on some thread."""
        pending = self._pool.submit(_logged, action)
        self._pending.add(pending)
        pending.add_done_callback(self._pending.discard)

    def stop(self, budget_s: float) -> int:
        """Wait for what runs, at most so long; answers how many did not end."""
        _, unfinished = wait(list(self._pending), budget_s)
        self._pool.shutdown(wait=False)
        return len(unfinished)


def _logged(action: Callable[[], None]) -> None:
    try:
        action()
    except Exception:  # noqa: BLE001 - the top of a background thread; nobody looks at its future
        _log.exception("background_failed")
