"""The dead letters that wait for their rows in the database, and how many rows each subscription may have.

    the subscription's rows     its dead letters
    fewer than the limit        are written, at most up to the limit
    as many as the limit        wait here until rows were deleted: as many as wait, or a tenth of the limit

The rows are counted when a subscription's first dead letter is written, and again when there seems to be no room.
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

COUNT_AGAIN_S = 5.0
"""How often the rows of a subscription without room are counted."""

Accepts = Callable[..., bool]
"""Runs a write and returns whether the database took it. Raises StoreUnavailable."""


@dataclass(slots=True)
class _Entry:
    subscription_id: str
    dead_letters: list[DeadLetter]
    committed: Callable[[], None]


@dataclass(slots=True)
class _Room:
    free: int
    counted_at: float


@dataclass(slots=True)
class _Blocked:
    counted_at: float
    entries: deque[_Entry] = field(default_factory=deque)

    @property
    def records(self) -> int:
        return sum(len(entry.dead_letters) for entry in self.entries)


class DeadLetterRows:
    """`write` is for one thread, every other method for any; `told` hears how much room a subscription has."""

    def __init__(self, database: Database, limit: int, monotonic: Monotonic) -> None:
        self.limit = limit
        self.told: Callable[[str, int], None] = lambda _id, _free: None
        self._database = database
        self._monotonic = monotonic
        self._lock = Lock()
        self._ready: deque[_Entry] = deque()
        self._blocked: dict[str, _Blocked] = {}
        self._asked: set[str] = set()
        self._rooms: dict[str, _Room] = {}

    @property
    def waiting(self) -> bool:
        """Whether there is something to write, or to tell."""
        return bool(self._ready or self._asked)

    @property
    def blocked(self) -> bool:
        """Whether a subscription has no room."""
        return bool(self._blocked)

    def add(self, dead_letters: list[DeadLetter], committed: Callable[[], None]) -> None:
        """Write these, all of one subscription; `committed` is called on the writing thread once all have rows."""
        entry = _Entry(dead_letters[0].subscription_id, list(dead_letters), committed)
        with self._lock:
            blocked = self._blocked.get(entry.subscription_id)
            (self._ready if blocked is None else blocked.entries).append(entry)

    def request_free_rows(self, subscription_id: str) -> None:
        """Count its rows, and tell."""
        with self._lock:
            self._asked.add(subscription_id)

    def forget(self, subscription_id: str) -> None:
        """It is not run any more: what waits for room will be read again by who runs it next."""
        with self._lock:
            self._blocked.pop(subscription_id, None)
            self._asked.discard(subscription_id)
            self._rooms.pop(subscription_id, None)  # another process may write rows until it is run here again

    def write(self, accepts: Accepts) -> bool:
        """Write what there is room for; returns whether the database took all of it."""
        taken = True
        self._look_for_room()
        for _ in range(len(self._ready)):
            with self._lock:
                entry = self._ready.popleft()
            try:
                written = accepts(partial(self._append, entry), rows="dead_letters", subscription=entry.subscription_id)
            except BaseException:
                with self._lock:
                    self._ready.appendleft(entry)
                raise
            taken &= written
            self._go_on(entry, written=written)
        return taken

    def _go_on(self, entry: _Entry, *, written: bool) -> None:
        if written and not entry.dead_letters:
            entry.committed()
            return
        if not written:  # behind all others
            with self._lock:
                self._ready.append(entry)
            return
        self._block(entry.subscription_id, entry)

    def _block(self, id_: str, *entries: _Entry) -> None:
        with self._lock:
            news = id_ not in self._blocked
            blocked = self._blocked.setdefault(id_, _Blocked(self._monotonic()))
            blocked.entries.extend(entries)
        if news:
            self.told(id_, 0)

    def _append(self, entry: _Entry) -> None:
        id_, now, new = entry.subscription_id, self._monotonic(), entry.dead_letters
        room = self._rooms.get(id_)
        with self._database.transaction() as session:
            if room is None or (room.free < len(new) and now - room.counted_at >= COUNT_AGAIN_S):
                room = _Room(dead_letters.room(session, id_, self.limit), now)
            if room.free < len(new):  # what was written before, and is read again, needs no room
                new = dead_letters.unknown(session, new)
            dead_letters.append(session, new[: room.free])
        entry.dead_letters = new[room.free :]
        room.free = max(0, room.free - len(new))
        self._rooms[id_] = room

    def _look_for_room(self) -> None:
        now = self._monotonic()
        with self._lock:
            asked, self._asked = self._asked, set()
            due = {id_ for id_, blocked in self._blocked.items() if now - blocked.counted_at >= COUNT_AGAIN_S}
        try:
            self._count(asked | due, now)
        except BaseException:  # who asked waits for an answer, and does not ask again
            with self._lock:
                self._asked |= asked
            raise

    def _count(self, ids: set[str], now: float) -> None:
        for id_ in sorted(ids):
            with self._database.transaction() as session:
                free = dead_letters.room(session, id_, self.limit)
            self._rooms[id_] = _Room(free, now)
            self._judge(id_, free)

    def _judge(self, id_: str, free: int) -> None:
        with self._lock:
            blocked = self._blocked.get(id_)
            wanted = min(blocked.records, self.limit // 10) if blocked is not None else 0
            enough = free >= max(1, wanted)
            if blocked is not None:
                blocked.counted_at = self._monotonic()
            if blocked is not None and enough:
                self._ready.extend(self._blocked.pop(id_).entries)
        if enough:
            self.told(id_, free)
        else:
            self._block(id_)
