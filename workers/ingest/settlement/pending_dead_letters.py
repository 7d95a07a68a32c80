"""Dead letters that wait for their rows in the database, and how many rows each subscription may have.

    the subscription's rows     its dead letters
    fewer than the limit        are written, at most up to the limit
    as many as the limit        wait until there are free rows for all that wait, or for a tenth of the limit

The rows are counted when a subscription's first dead letter is written, and again when no row seems to be free.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from threading import Lock

from webhookd.clock import Monotonic
from webhookd.flow.dead_letter import DeadLetter
from webhookd.store import dead_letters
from webhookd.store.database import Database
from workers.ingest.settlement.write_attempts import TryWrite

COUNT_AGAIN_S = 5.0
"""How often the rows of a subscription at its limit are counted."""


@dataclass(slots=True)
class _Entry:
    subscription_id: str
    dead_letters: list[DeadLetter]
    committed: Callable[[], None]


@dataclass(slots=True)
class _FreeRows:
    count: int
    counted_at: float


@dataclass(slots=True)
class _Blocked:
    counted_at: float
    entries: deque[_Entry] = field(default_factory=deque)

    @property
    def records(self) -> int:
        return sum(len(entry.dead_letters) for entry in self.entries)


class PendingDeadLetters:
    """`write` is called by one thread; any thread may call the other methods.

    `on_free_rows` is called on the writing thread with a subscription's id and its number of free rows.
    """

    def __init__(self, database: Database, limit: int, monotonic: Monotonic) -> None:
        self.limit = limit
        self.on_free_rows: Callable[[str, int], None] = lambda _id, _free: None
        self._database = database
        self._monotonic = monotonic
        self._lock = Lock()
        self._ready: deque[_Entry] = deque()
        self._blocked: dict[str, _Blocked] = {}
        self._requested: set[str] = set()
        self._free_rows: dict[str, _FreeRows] = {}

    @property
    def waiting(self) -> bool:
        """Whether there is something to write or to count."""
        return bool(self._ready or self._requested)

    @property
    def blocked(self) -> bool:
        """Whether a subscription has no free row."""
        return bool(self._blocked)

    def add(self, dead_letters: list[DeadLetter], committed: Callable[[], None]) -> None:
        """Let dead letters of one subscription wait; `committed` is called on the writing thread once all have rows."""
        entry = _Entry(dead_letters[0].subscription_id, list(dead_letters), committed)
        with self._lock:
            blocked = self._blocked.get(entry.subscription_id)
            (self._ready if blocked is None else blocked.entries).append(entry)

    def request_free_rows(self, subscription_id: str) -> None:
        """Count the subscription's rows and call `on_free_rows`."""
        with self._lock:
            self._requested.add(subscription_id)

    def forget(self, subscription_id: str) -> None:
        """Drop what a stopped subscription has waiting for free rows; the next process that runs it reads it again."""
        with self._lock:
            self._blocked.pop(subscription_id, None)
            self._requested.discard(subscription_id)
            self._free_rows.pop(subscription_id, None)  # another process may write rows before it runs here again

    def write(self, try_write: TryWrite) -> bool:
        """Write as many as there are free rows for; return whether the database accepted all of it."""
        accepted = True
        self._count_due()
        for _ in range(len(self._ready)):
            with self._lock:
                entry = self._ready.popleft()
            try:
                written = try_write(
                    partial(self._append, entry), rows="dead_letters", subscription=entry.subscription_id
                )
            except BaseException:
                with self._lock:
                    self._ready.appendleft(entry)
                raise
            accepted &= written
            self._finish(entry, written=written)
        return accepted

    def _finish(self, entry: _Entry, *, written: bool) -> None:
        if written and not entry.dead_letters:
            entry.committed()
            return
        if not written:  # tried again after all others
            with self._lock:
                self._ready.append(entry)
            return
        self._block(entry.subscription_id, entry)

    def _block(self, id_: str, *entries: _Entry) -> None:
        with self._lock:
            new = id_ not in self._blocked
            blocked = self._blocked.setdefault(id_, _Blocked(self._monotonic()))
            blocked.entries.extend(entries)
        if new:
            self.on_free_rows(id_, 0)

    def _append(self, entry: _Entry) -> None:
        id_, now, new = entry.subscription_id, self._monotonic(), entry.dead_letters
        free = self._free_rows.get(id_)
        with self._database.transaction() as session:
            if free is None or (free.count < len(new) and now - free.counted_at >= COUNT_AGAIN_S):
                free = _FreeRows(dead_letters.free_rows(session, id_, self.limit), now)
            if free.count < len(new):  # a dead letter that is read again may have its row already
                new = dead_letters.not_stored(session, new)
            dead_letters.append(session, new[: free.count])
        entry.dead_letters = new[free.count :]
        free.count = max(0, free.count - len(new))
        self._free_rows[id_] = free

    def _count_due(self) -> None:
        now = self._monotonic()
        with self._lock:
            requested, self._requested = self._requested, set()
            due = {id_ for id_, blocked in self._blocked.items() if now - blocked.counted_at >= COUNT_AGAIN_S}
        try:
            self._count(requested | due, now)
        except BaseException:  # each request must get a result: it is made only once
            with self._lock:
                self._requested |= requested
            raise

    def _count(self, ids: set[str], now: float) -> None:
        for id_ in sorted(ids):
            with self._database.transaction() as session:
                free = dead_letters.free_rows(session, id_, self.limit)
            self._free_rows[id_] = _FreeRows(free, now)
            self._unblock(id_, free)

    def _unblock(self, id_: str, free: int) -> None:
        with self._lock:
            blocked = self._blocked.get(id_)
            wanted = min(blocked.records, self.limit // 10) if blocked is not None else 0
            enough = free >= max(1, wanted)
            if blocked is not None:
                blocked.counted_at = self._monotonic()
            if blocked is not None and enough:
                self._ready.extend(self._blocked.pop(id_).entries)
        if enough:
            self.on_free_rows(id_, free)
        else:
            self._block(id_)
