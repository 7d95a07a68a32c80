"""How busy a worker process is: the tasks that it takes from its queues, starts and ends."""

from collections import Counter
from threading import Lock

from webhookd.clock import Monotonic


class WorkerLoad:
    """Counts tasks. `task_taken` is called by the one thread that consumes, every other method by any thread."""

    def __init__(self, monotonic: Monotonic) -> None:
        self._monotonic = monotonic
        self._lock = Lock()
        self._taken: Counter[str] = Counter()
        self._busy = 0
        self._started_at: float | None = None
        self._ended_at: float | None = None

    def task_taken(self, queue: str) -> None:
        """Count a task taken from a queue. It takes no lock, because signals interrupt the consuming thread."""
        self._taken[queue] += 1

    def tasks_taken(self, queue: str) -> int:
        """How many tasks were taken from a queue so far."""
        return self._taken[queue]

    def taken_by_queue(self) -> dict[str, int]:
        """How many tasks were taken so far, by queue; only those of which one was taken. Any thread."""
        return dict(self._taken)

    def task_started(self) -> None:
        """Count a task that a thread starts to work on."""
        with self._lock:
            self._busy += 1
            self._started_at = self._monotonic()

    def task_ended(self) -> None:
        """Count a task that a thread has ended."""
        with self._lock:
            self._busy -= 1
            self._ended_at = self._monotonic()

    @property
    def busy(self) -> int:
        """How many threads work on a task."""
        return self._busy

    def ages(self) -> tuple[float | None, float | None]:
        """Seconds since the last start and since the last end of a task; None before the first one."""
        with self._lock:
            now = self._monotonic()
            return (
                None if self._started_at is None else now - self._started_at,
                None if self._ended_at is None else now - self._ended_at,
            )
