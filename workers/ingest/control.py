"""Which subscriptions this process runs: heartbeats, membership and changed rows, read from the database.

Once a second, and at once when a change is announced. While the database cannot be read, everything goes on as it
was last known.
"""

from collections.abc import Callable
from threading import Event, Thread
from typing import Protocol

from webhookd import logs
from webhookd.errors import StoreUnavailable
from webhookd.flow.condition import Condition
from webhookd.flow.ownership import owner
from webhookd.flow.subscription import Subscription
from webhookd.store import conditions, members, subscriptions
from webhookd.store.database import Database
from webhookd.store.subscriptions import Loaded

_log = logs.get(__name__)


class Runs(Protocol):
    """Who starts and stops what this process owns; called on the control thread."""

    def run(self, id_: str, version: int, found: Loaded, previous: Condition | None) -> None:
        """Run this version, or say why it cannot be; `previous` is its condition as last written."""

    def leave(self, id_: str) -> None:
        """It is deleted, or another process' now."""


class Control:
    """One thread that reads, and one that listens for announcements to make it read sooner."""

    def __init__(
        self,
        database: Database,
        runs: Runs,
        *,
        member_id: str,
        member_timeout_s: float,
        interval_s: float,
        listen: Callable[[Callable[[str, int], None], Event], None],
    ) -> None:
        self._database = database
        self._runs = runs
        self._member_id = member_id
        self._member_timeout_s = member_timeout_s
        self._interval_s = interval_s
        self._known: dict[str, int] = {}
        self.alive_count = 1
        """How many ingest processes were alive at the last read, this one included."""
        self._stop = Event()
        self._wake = Event()
        self._threads = [
            Thread(target=self._run, name="control", daemon=True),
            Thread(target=lambda: listen(self._announced, self._stop), name="announcements", daemon=True),
        ]

    def start(self) -> None:
        """Begin to read and to listen."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End both threads and leave the membership, so that the others need not wait for the time-out."""
        self._stop.set()
        self._wake.set()
        for thread in self._threads:
            thread.join(5.0)
        try:
            with self._database.transaction() as session:
                members.leave(session, self._member_id)
                members.forget(session)
        except StoreUnavailable as error:
            _log.warning("store_unavailable", code=error.code, detail=error.detail)

    def _announced(self, _id: str, _version: int) -> None:
        self._wake.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            try:
                self._read()
            except StoreUnavailable as error:
                _log.warning("store_unavailable", code=error.code, detail=error.detail)
            except Exception:  # noqa: BLE001 - the top of the thread: the next read may go well
                _log.exception("control_failed")
            self._wake.wait(self._interval_s)

    def _read(self) -> None:
        with self._database.transaction() as session:
            members.beat(session, self._member_id)
            alive = members.alive(session, self._member_timeout_s)
            versions = subscriptions.versions(session)
            ours = {id_: v for id_, v in versions.items() if owner(id_, alive) == self._member_id}
            changed = {id_: version for id_, version in ours.items() if self._known.get(id_) != version}
            loaded = subscriptions.load(session, list(changed)) if changed else {}
            before = conditions.read_all(session, list(loaded)) if loaded else {}
        self.alive_count = len(alive)
        for id_ in [id_ for id_ in self._known if id_ not in ours]:
            del self._known[id_]
            self._runs.leave(id_)
        for id_, found in loaded.items():
            version = found.version if isinstance(found, Subscription) else changed[id_]
            self._known[id_] = version
            self._runs.run(id_, version, found, before.get(id_))
