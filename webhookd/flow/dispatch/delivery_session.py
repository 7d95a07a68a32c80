"""How long a delivery session stays open: a Celery task that takes further deliveries after its own ones.

A task of the queue for first attempts costs several times as much as the deliveries in it. So it stays open for a
moment. Ingest pushes further deliveries to it over the coordination store, without a task of their own.

The session closes when nothing was pushed for the idle timeout, or when it has been open for LONGEST_S: then tasks end
soon enough for a warm stop, and for what `celery inspect active` and Flower show. To close is one atomic step of the
store, which fails if something was pushed that the session has not received yet. So nothing is left behind.

A session is named `{worker}/{number}`. All pushes to the sessions of one worker process go into one list.
"""

from dataclasses import dataclass
from itertools import count
from math import inf

LONGEST_S = 4.0
"""How long a session takes deliveries at most."""

OVERDUE_S = 1.0
"""So long after that it closes even if a push has not been received. Its deliveries are published again."""

TTL_SLACK_S = 1.0
"""The store forgets a session that was not renewed for the idle timeout and this. So a dead worker gets no pushes."""


@dataclass(frozen=True, slots=True)
class SessionClaim:
    """The session for which deliveries are claimed. If it `opens`, ingest learns of it with the claims."""

    id: str
    ttl_s: float
    opens: bool


def worker_of(session_id: str) -> str:
    """The worker process of a session."""
    return session_id.partition("/")[0]


class SessionNames:
    """The names of the sessions of one worker process."""

    def __init__(self, worker: str) -> None:
        self.worker = worker
        self._numbers = count(1)

    def new(self) -> str:
        """Return a name that was not used before."""
        return f"{self.worker}/{next(self._numbers)}"


class DeliverySession:
    """One session of this worker process. Times are monotonic seconds.

    `received` counts the pushes that the process has taken from the store.
    """

    def __init__(self, id_: str, idle_s: float, now: float) -> None:
        self.id = id_
        self.received = 0
        self._idle_s = idle_s
        self._pushed_at = now
        self._ends_at = now + LONGEST_S

    def pushed(self, now: float) -> None:
        """Count a push that was received."""
        self.received += 1
        self._pushed_at = now

    def stop(self) -> None:
        """Close as soon as possible."""
        self._ends_at = -inf

    @property
    def closes_at(self) -> float:
        """From when on it is to be closed."""
        return min(self._pushed_at + self._idle_s, self._ends_at)

    def overdue(self, now: float) -> bool:
        """Whether it must close, although a push has not been received."""
        return now >= max(self._ends_at, self._pushed_at) + OVERDUE_S

    def claim(self, *, opens: bool = False) -> SessionClaim:
        """What a claim for this session says about it; each one renews the session."""
        return SessionClaim(self.id, self._idle_s + TTL_SLACK_S, opens)
