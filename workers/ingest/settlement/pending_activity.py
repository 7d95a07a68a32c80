"""Rows of the activity log that wait for the database: as many as fit, the oldest are dropped first."""

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from threading import Lock

from webhookd import logs
from webhookd.errors import StoreUnavailable
from webhookd.flow.status.activity import Activity
from webhookd.store import activity
from webhookd.store.database import Database
from workers.ingest.settlement.write_attempts import TryWrite

MAX_WAITING = 20_000
"""Additions kept while the database is down."""

ADDITIONS_A_WRITE = 500

Addition = Callable[[], list[Activity]]
"""Renders the rows of one addition, on the writing thread."""

_log = logs.get(__name__)


class PendingActivity:
    """`write` and `log_dropped` are called by one thread; any thread may call the other methods."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = Lock()
        self._waiting: deque[Addition] = deque(maxlen=MAX_WAITING)
        self._logged_dropped = 0
        self.dropped = 0
        """Additions that were lost since the start: rejected by the database, or too many while it was down."""

    @property
    def waiting(self) -> bool:
        """Whether there is something to write."""
        return bool(self._waiting)

    def add(self, addition: Addition) -> None:
        """Let an addition wait for the next write."""
        with self._lock:
            self.dropped += len(self._waiting) == MAX_WAITING
            self._waiting.append(addition)

    def write(self, try_write: TryWrite) -> None:
        """Write all additions; those that the database rejects are dropped. Raises StoreUnavailable."""
        while self._waiting:
            with self._lock:
                taken = [self._waiting.popleft() for _ in range(min(len(self._waiting), ADDITIONS_A_WRITE))]
            try:
                accepted = try_write(partial(self._append, taken), rows="activity")
            except StoreUnavailable:
                self._give_back(taken)
                raise
            if not accepted:
                self._drop(len(taken))

    def log_dropped(self) -> None:
        """Log how many additions were dropped since the last call."""
        with self._lock:
            dropped, self._logged_dropped = self.dropped - self._logged_dropped, self.dropped
        if dropped:
            _log.warning("activity_dropped", additions=dropped)

    def _append(self, taken: Sequence[Addition]) -> None:
        rows = [row for render in taken for row in render()]
        with self._database.transaction() as session:
            activity.append(session, rows)

    def _drop(self, additions: int) -> None:
        with self._lock:
            self.dropped += additions

    def _give_back(self, taken: Sequence[Addition]) -> None:
        with self._lock:
            kept = min(MAX_WAITING - len(self._waiting), len(taken))
            self.dropped += len(taken) - kept
            self._waiting.extendleft(reversed(taken[len(taken) - kept :]))
