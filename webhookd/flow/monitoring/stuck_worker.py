"""When a worker has gone deaf: it lives, it has room, tasks wait in its queue, and it takes none of them.

Redis restarted under a worker whose slots were all taken can leave it so for good (Celery; nothing else tells it from
an idle one). Taking a task counts, not beginning one: what a deaf worker still holds for its countdown begins too.

    at a look                                       the watch
    the queue is empty                              starts over
    no room: slots taken, or full of countdowns     starts over
    a task was taken since the look before          starts over
    Redis did not answer, or no look for long       starts over
    none of these for `after_s`                     deaf
"""

LONGEST_GAP_S = 5.0
"""Looks further apart (a process that was stopped and goes on, a machine out of breath) say nothing of the time
between them."""


class StuckWorkerDetector:
    """Watches one queue of one worker; told of each look, in order."""

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._well_at: float | None = None
        self._looked_at = 0.0
        self._taken = 0

    def check(self, now: float, *, waiting: int, free: int, taken: int) -> bool:
        """Whether it is deaf by now; `taken` counts the tasks it has taken from the queue since it started."""
        regular = self._well_at is not None and now - self._looked_at <= LONGEST_GAP_S
        well = waiting <= 0 or free <= 0 or taken != self._taken
        self._looked_at, self._taken = now, taken
        if self._well_at is None or well or not regular:
            self._well_at = now
        return now - self._well_at >= self._after_s

    def reset(self) -> None:
        """There was no look: Redis did not answer."""
        self._well_at = None
