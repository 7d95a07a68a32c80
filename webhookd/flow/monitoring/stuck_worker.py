"""Detects a stuck worker: it runs, has free threads, tasks wait in its queue, and it takes none of them.

If Redis restarts while all threads of a worker are busy, Celery may never consume again. Such a worker differs from an
idle one only in that tasks wait in its queue. What counts is that it takes a task from the queue, not that it starts
one: a stuck worker still starts tasks that it took before, when their countdown ends.

    at a check                                              the worker
    the queue is empty                                      is not stuck; the time starts again
    no free thread, or its prefetch is full of countdowns   is not stuck; the time starts again
    it took a task since the previous check                 is not stuck; the time starts again
    Redis did not answer, or the last check is long ago     is not stuck; the time starts again
    none of these for `after_s`                             is stuck
"""

LONGEST_GAP_S = 5.0
"""If two checks are further apart (the process was stopped, the machine overloaded), the time between them does not
count."""


class StuckWorkerDetector:
    """Checks one queue of one worker; `check` must be called in the order of time."""

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._not_stuck_at: float | None = None
        self._checked_at = 0.0
        self._taken = 0

    def check(self, now: float, *, waiting: int, free: int, taken: int) -> bool:
        """Return whether it is stuck; `free` are its free threads, `taken` all tasks it has taken since it started."""
        regular = self._not_stuck_at is not None and now - self._checked_at <= LONGEST_GAP_S
        not_stuck = waiting <= 0 or free <= 0 or taken != self._taken
        self._checked_at, self._taken = now, taken
        if self._not_stuck_at is None or not_stuck or not regular:
            self._not_stuck_at = now
        return now - self._not_stuck_at >= self._after_s

    def reset(self) -> None:
        """Start the time again, because Redis did not answer."""
        self._not_stuck_at = None
