"""How a worker process reacts to changes: webhookd goes offline or online, or a subscription has a new version.

    source of the change       what the process does
    a change notification      makes an outdated request template stale at once, or reads the offline switch at once
    the database, read about   updates both; while the database is down, the last state that was read stays valid
      once a second

When webhookd goes offline, no request is begun any more. Requests that are still open 4 s after the switch are aborted.
They do not count as failures: the worker reports how far each delivery got, and ingest sends the rest when webhookd is
online again.
"""

from collections.abc import Callable, Mapping, Sequence
from math import inf
from threading import Event, Thread
from typing import Protocol

from webhookd import logs
from webhookd.clock import Monotonic
from webhookd.errors import StoreUnavailable
from webhookd.flow.control.administration import ABORT_AFTER_S, Administration
from webhookd.flow.control.change_notification import ChangeNotification, SubscriptionChanged
from webhookd.store import administration, subscriptions
from webhookd.store.database import Database

JOIN_S = 5.0

CHECK_UNUSABLE_S = 10.0
"""How often subscriptions that this process cannot use are loaded again: without records no delivery does it."""

_log = logs.get(__name__)

Listen = Callable[[Callable[[ChangeNotification], None], Event], None]
"""Calls the first argument with each notification, and blocks until the event is set."""


class CachedSubscriptions(Protocol):
    """The subscriptions that this process keeps in memory."""

    def invalidate(self, subscription_id: str, version: int) -> None:
        """Make deliveries of versions below this one stale."""

    def cached_ids(self) -> list[str]:
        """The subscriptions that are in memory."""

    def drop_outdated(self, ids: Sequence[str], versions: Mapping[str, int]) -> None:
        """Drop those subscriptions in `ids` whose version in `versions` is newer or missing."""

    def check_unusable(self) -> None:
        """Load again the subscriptions that cannot be used. Raises StoreUnavailable."""


class RequestAborter(Protocol):
    """The requests of this process, open and about to be sent."""

    def stop_senders(self) -> None:
        """End every delivery after its current request."""

    def abort_requests(self) -> None:
        """Abort the requests that are open."""


class ChangeWatch:
    """One thread that reads the database, and one that listens for notifications. Any thread may read `offline`."""

    def __init__(
        self,
        database: Database,
        cache: CachedSubscriptions,
        requests: RequestAborter,
        *,
        interval_s: float,
        listen: Listen,
        monotonic: Monotonic,
    ) -> None:
        self._database = database
        self._cache = cache
        self._requests = requests
        self._interval_s = interval_s
        self._monotonic = monotonic
        self._abort_at: float | None = None
        self._unusable_checked_at = -inf
        self.store_error = ""
        """Why the last read of the database failed; empty when it did not."""
        self._stop = Event()
        self._wake = Event()
        self._threads = [
            Thread(target=self._run, name="change-watch", daemon=True),
            Thread(target=lambda: listen(self._notified, self._stop), name="change-notifications", daemon=True),
        ]

    @property
    def offline(self) -> bool:
        """Whether webhookd is offline, as last read."""
        return self._abort_at is not None

    def end_deliveries_while_offline(self) -> None:
        """While offline, end the deliveries in progress, and abort their requests 4 s after the switch.

        Call it every few tenths of a second, since a task may have begun just before the switch. It does not block.
        Call it on a thread that does not read the database, so that a slow database does not delay it.
        """
        if self._abort_at is None:
            return
        self._requests.stop_senders()
        if self._monotonic() >= self._abort_at:
            self._requests.abort_requests()

    def start(self) -> None:
        """Read once, if the database can be read, and then start both threads."""
        self._read_or_log()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End both threads; blocks for at most `JOIN_S` each."""
        self._stop.set()
        self._wake.set()
        for thread in self._threads:
            thread.join(JOIN_S)

    def read(self) -> None:
        """Read the offline switch and the versions of the cached subscriptions, and apply both.

        Raises StoreUnavailable.
        """
        ids = self._cache.cached_ids()
        with self._database.transaction() as session:
            switch = administration.read(session)
            versions = subscriptions.versions(session, ids) if ids else {}
        self._cache.drop_outdated(ids, versions)
        self._apply(switch)
        now = self._monotonic()
        if now - self._unusable_checked_at >= CHECK_UNUSABLE_S:
            self._unusable_checked_at = now
            self._cache.check_unusable()

    def _apply(self, switch: Administration) -> None:
        if switch.offline != self.offline:
            _log.warning("went_offline" if switch.offline else "went_online", age_s=round(switch.age_s, 3))
        if not switch.offline:
            self._abort_at = None
        elif self._abort_at is None:
            self._abort_at = self._monotonic() + max(0.0, ABORT_AFTER_S - switch.age_s)

    def _notified(self, notification: ChangeNotification) -> None:
        match notification:
            case SubscriptionChanged(id=id_, version=version):
                self._cache.invalidate(id_, version)
            case _:
                self._wake.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.wait(self._interval_s)
            self._wake.clear()
            self._read_or_log()

    def _read_or_log(self) -> None:
        try:
            self.read()
            self.store_error = ""
        except StoreUnavailable as error:
            self.store_error = error.detail or str(error)
            _log.warning("store_unavailable", code=error.code, detail=error.detail)
        except Exception:  # noqa: BLE001 - the top of the thread: the next read may succeed
            _log.exception("change_watch_failed")
