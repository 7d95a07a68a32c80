"""What a worker process hears and looks for while it works: whether webhookd is online, and which plans are outdated.

    announcement        an outdated plan is refused at once; the switch is read at once
    about once a second both are read from the database; while that is away, what was last known stays in force

When webhookd goes offline no request is begun any more; those that are still open 4 s after the switch are cut. What
was not answered is nobody's failure: ingest hears how far each delivery got, and sends the rest on return.
"""

from collections.abc import Callable, Mapping, Sequence
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

_log = logs.get(__name__)

Listen = Callable[[Callable[[ChangeNotification], None], Event], None]


class CachedSubscriptions(Protocol):
    """The plans that this process keeps."""

    def heard(self, subscription_id: str, version: int) -> None:
        """It has this version by now."""

    def known(self) -> list[str]:
        """The subscriptions whose plans are kept."""

    def compare(self, ids: Sequence[str], versions: Mapping[str, int]) -> None:
        """Forget what is outdated."""


class RequestAborter(Protocol):
    """What has requests open, or is about to."""

    def stop_all(self) -> None:
        """Let every delivery end after the request under way."""

    def cut(self) -> None:
        """Break off the requests under way."""


class ChangeWatch:
    """One thread that reads, and one that listens; `offline` may be asked by any."""

    def __init__(
        self,
        database: Database,
        plans: CachedSubscriptions,
        cutting: RequestAborter,
        *,
        interval_s: float,
        listen: Listen,
        monotonic: Monotonic,
    ) -> None:
        self._database = database
        self._plans = plans
        self._cutting = cutting
        self._interval_s = interval_s
        self._monotonic = monotonic
        self._cut_at: float | None = None
        self._stop = Event()
        self._wake = Event()
        self._threads = [
            Thread(target=self._run, name="control-watch", daemon=True),
            Thread(target=lambda: listen(self._heard, self._stop), name="announcements", daemon=True),
        ]

    @property
    def offline(self) -> bool:
        """Whether webhookd is offline, as last read."""
        return self._cut_at is not None

    def stand_still(self) -> None:
        """While offline, end what is under way: again and again, as a task may have begun just before the switch.

        To be called every few tenths of a second, by somebody who does not wait for the database.
        """
        if self._cut_at is None:
            return
        self._cutting.stop_all()
        if self._monotonic() >= self._cut_at:
            self._cutting.cut()

    def start(self) -> None:
        """Read once, as far as the database can be read, and go on reading and listening on threads of its own."""
        self._look()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End both threads."""
        self._stop.set()
        self._wake.set()
        for thread in self._threads:
            thread.join(JOIN_S)

    def read(self) -> None:
        """Read switch and versions, and do what follows. Raises StoreUnavailable."""
        known = self._plans.known()
        with self._database.transaction() as session:
            switch = administration.read(session)
            versions = subscriptions.versions(session, known) if known else {}
        self._plans.compare(known, versions)
        self._follow(switch)

    def _follow(self, switch: Administration) -> None:
        if switch.offline != self.offline:
            _log.warning("went_offline" if switch.offline else "went_online", age_s=round(switch.age_s, 3))
        if not switch.offline:
            self._cut_at = None
        elif self._cut_at is None:
            self._cut_at = self._monotonic() + max(0.0, ABORT_AFTER_S - switch.age_s)

    def _heard(self, announcement: ChangeNotification) -> None:
        match announcement:
            case SubscriptionChanged(id=id_, version=version):
                self._plans.heard(id_, version)
            case _:
                self._wake.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.wait(self._interval_s)
            self._wake.clear()
            self._look()

    def _look(self) -> None:
        try:
            self.read()
        except StoreUnavailable as error:
            _log.warning("store_unavailable", code=error.code, detail=error.detail)
        except Exception:  # noqa: BLE001 - the top of the thread: the next round may go well
            _log.exception("control_watch_failed")
