"""Dead letters that wait for their rows in the database, and how many rows each subscription may have.

    the rows                    the subscription's dead letters
    fewer than the limit        are written, at most up to the limit
    as many as the limit        wait until there are free rows for all that wait, or for a tenth of the limit

Dead letters of another version of the subscription than the stored one are dropped: other policies may apply now. So
are those of a subscription that is stopped. Neither is lost: an offset is not committed before its row is, so whoever
runs the subscription next reads the records again.

Whose rows are counted, and when: dead_letter_space.py.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from threading import Lock

from webhookd.clock import Monotonic
from webhookd.flow.dead_letter import Capacity, DeadLetter
from webhookd.flow.subscription import Subscription
from webhookd.store import dead_letters, subscriptions
from webhookd.store.database import Database
from workers.ingest.settlement.dead_letter_space import COUNT_AGAIN_S, DeadLetterSpace, Limits
from workers.ingest.settlement.write_attempts import TryWrite


@dataclass(slots=True)
class _Entry:
    subscription_id: str
    tenant: str
    version: int
    dead_letters: list[DeadLetter]
    committed: Callable[[], None]
    dropped: bool = False


@dataclass(slots=True)
class _Blocked:
    tenant: str
    counted_at: float
    entries: deque[_Entry] = field(default_factory=deque)

    @property
    def records(self) -> int:
        return sum(len(entry.dead_letters) for entry in self.entries)


class PendingDeadLetters:
    """`write` is called by one thread; any thread may call the other methods.

    `on_free_rows` is called on the writing thread with a subscription's id and its free rows.
    """

    def __init__(self, database: Database, limits: Limits, monotonic: Monotonic) -> None:
        self.on_free_rows: Callable[[str, Capacity], None] = lambda _id, _capacity: None
        self._database = database
        self._monotonic = monotonic
        self._lock = Lock()
        self._ready: deque[_Entry] = deque()
        self._in_hand: _Entry | None = None
        self._blocked: dict[str, _Blocked] = {}
        self._requested: dict[str, str] = {}
        self._space = DeadLetterSpace(limits, monotonic)

    @property
    def waiting(self) -> bool:
        """Whether there is something to write or to count."""
        return bool(self._ready or self._requested)

    @property
    def blocked(self) -> bool:
        """Whether a subscription has no free row."""
        return bool(self._blocked)

    def add(self, of: Subscription, dead_letters: list[DeadLetter], committed: Callable[[], None]) -> None:
        """Let dead letters of a subscription wait; `committed` is called on the writing thread once all have rows."""
        entry = _Entry(of.id, of.tenant, of.version, list(dead_letters), committed)
        with self._lock:
            blocked = self._blocked.get(entry.subscription_id)
            (self._ready if blocked is None else blocked.entries).append(entry)

    def request_free_rows(self, subscription_id: str, tenant: str) -> None:
        """Count the rows of the subscription and of its tenant, and call `on_free_rows`."""
        with self._lock:
            self._requested[subscription_id] = tenant

    def forget(self, subscription_id: str) -> None:
        """Drop all that a stopped subscription has waiting.

        What is being written at this moment may still get its rows, but `committed` is not called.
        """
        with self._lock:
            self._blocked.pop(subscription_id, None)
            self._requested.pop(subscription_id, None)
            self._space.forget(subscription_id)
            self._ready = deque(entry for entry in self._ready if entry.subscription_id != subscription_id)
            if self._in_hand is not None and self._in_hand.subscription_id == subscription_id:
                self._in_hand.dropped = True

    def write(self, try_write: TryWrite) -> bool:
        """Write as many as there are free rows for; return whether the database accepted all of it."""
        accepted = True
        self._count_due()
        for _ in range(len(self._ready)):
            if (entry := self._take()) is None:
                break
            try:
                written = try_write(
                    partial(self._append, entry), rows="dead_letters", subscription=entry.subscription_id
                )
            except BaseException:
                self._put_back(entry)
                raise
            accepted &= written
            self._finish(entry, written=written)
        return accepted

    def _take(self) -> _Entry | None:
        with self._lock:
            self._in_hand = self._ready.popleft() if self._ready else None
            return self._in_hand

    def _put_back(self, entry: _Entry) -> None:
        with self._lock:
            self._in_hand = None
            if not entry.dropped:
                self._ready.appendleft(entry)

    def _finish(self, entry: _Entry, *, written: bool) -> None:
        with self._lock:
            self._in_hand = None
            if entry.dropped:
                return
            if written and not entry.dead_letters:
                entry.committed()
                return
            if not written:  # tried again after all others
                self._ready.append(entry)
                return
        self._block(entry.subscription_id, entry.tenant, entry)

    def _block(self, id_: str, tenant: str, *entries: _Entry) -> None:
        with self._lock:
            new = id_ not in self._blocked
            blocked = self._blocked.setdefault(id_, _Blocked(tenant, self._monotonic()))
            blocked.entries.extend(entries)
        if new:
            self.on_free_rows(id_, replace(self._space.known(id_, tenant), free=0))

    def _append(self, entry: _Entry) -> None:
        id_, tenant, new = entry.subscription_id, entry.tenant, entry.dead_letters
        with self._database.transaction() as session:
            if not subscriptions.is_current(session, id_, entry.version):
                entry.dropped = True
                return
            free = self._space.reserve(session, id_, tenant, len(new)).free
            if free < len(new):  # a dead letter that is read again may have its row already
                new = dead_letters.not_stored(session, new)
            dead_letters.append(session, new[:free], tenant)
        entry.dead_letters = new[free:]
        self._space.take(id_, tenant, len(new))

    def _count_due(self) -> None:
        now = self._monotonic()
        with self._lock:
            requested, self._requested = self._requested, {}
            due = {
                id_: blocked.tenant
                for id_, blocked in self._blocked.items()
                if now - blocked.counted_at >= COUNT_AGAIN_S
            }
        try:
            self._count(requested | due)
        except BaseException:  # each request must get a result: it is made only once
            with self._lock:
                self._requested = requested | self._requested
            raise

    def _count(self, tenants: Mapping[str, str]) -> None:
        for id_, tenant in sorted(tenants.items()):
            with self._database.transaction() as session:
                capacity = self._space.count(session, id_, tenant)
            self._unblock(id_, tenant, capacity)

    def _unblock(self, id_: str, tenant: str, capacity: Capacity) -> None:
        with self._lock:
            blocked = self._blocked.get(id_)
            wanted = min(blocked.records, capacity.limit // 10) if blocked is not None else 0
            enough = capacity.free >= max(1, wanted)
            if blocked is not None:
                blocked.counted_at = self._monotonic()
            if blocked is not None and enough:
                self._ready.extend(self._blocked.pop(id_).entries)
        if enough:
            self.on_free_rows(id_, capacity)
        else:
            self._block(id_, tenant)
