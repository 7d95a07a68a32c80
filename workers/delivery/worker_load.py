"""How busy a worker process is: what it takes from its queues, begins and ends."""

from collections import Counter
from threading import Lock

from webhookd.clock import Monotonic


class WorkerLoad:
    """Counts; `took` is for the one thread that consumes, all else for any."""

    def __init__(self, monotonic: Monotonic) -> None:
        self._monotonic = monotonic
        self._lock = Lock()
        self._taken: Counter[str] = Counter()
        self._busy = 0
        self._began_at: float | None = None
        self._ended_at: float | None = None

    def took(self, queue: str) -> None:
        """A task came from a queue. Takes no lock: the thread that consumes is the one that signals interrupt."""
        self._taken[queue] += 1

    def taken(self, queue: str) -> int:
        """How many tasks came from a queue so far."""
        return self._taken[queue]

    def began(self) -> None:
        """A thread works on a task."""
        with self._lock:
            self._busy += 1
            self._began_at = self._monotonic()

    def ended(self) -> None:
        """And is done with it."""
        with self._lock:
            self._busy -= 1
            self._ended_at = self._monotonic()

    @property
    def busy(self) -> int:
        """How many tasks are being worked on."""
        return self._busy

    def ages(self) -> tuple[float | None, float | None]:
        """How many seconds ago a task began, and one ended, for the last time."""
        with self._lock:
            now = self._monotonic()
            return (
                None if self._began_at is None else now - self._began_at,
                None if self._ended_at is None else now - self._ended_at,
            )
