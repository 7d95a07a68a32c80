"""Writes what ingest has to say to the database, in batches and off the hot path.

Dead letters wait for the database for as long as it is away (their lanes are paused meanwhile), and while there is no
room for them (letter_rows.py); of conditions the
latest is kept, of activity as much as fits. What the database refuses for good holds up nothing else: dead letters go
behind all others and are tried again, so are conditions, activity is dropped and counted.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from threading import Condition as Monitor
from threading import Thread

from webhookd import logs
from webhookd.clock import Monotonic, WallClock
from webhookd.errors import RowsRefused, StoreUnavailable
from webhookd.flow.alerting.alert import Alert
from webhookd.flow.dead_letter import DeadLetter
from webhookd.flow.status.activity import Activity, Event
from webhookd.flow.status.subscription_status import SubscriptionStatus
from webhookd.flow.subscription import Subscription
from webhookd.store import activity, dead_letters, subscription_statuses, subscriptions
from webhookd.store.database import Database
from workers.ingest.alerting import due_alerts
from workers.ingest.settlement.dead_letter_rows import COUNT_AGAIN_S, DeadLetterRows

ACTIVITY_HELD = 20_000
"""Rows kept while the database is away; the oldest go first."""

ROWS_A_WRITE = 500
BACK_OFF_S = 1.0
PURGE_INTERVAL_S = 600.0

_log = logs.get(__name__)


class DatabaseWriter:
    """One thread; every method may be called from any other and returns at once."""

    def __init__(
        self,
        database: Database,
        *,
        retention_s: float,
        dead_letter_retention_s: float,
        dead_letter_limit: int,
        wall_clock: WallClock,
        monotonic: Monotonic,
    ) -> None:
        self._database = database
        self._retention_s = retention_s
        self._dead_letter_retention_s = dead_letter_retention_s
        self._wall_clock = wall_clock
        self._purged_at = 0.0
        self._changed = Monitor()
        self.dead_letters = DeadLetterRows(database, dead_letter_limit, monotonic)
        """The dead letters that wait; who adds to them calls `wake`."""
        self._activity: deque[Callable[[], list[Activity]]] = deque(maxlen=ACTIVITY_HELD)
        self._statuses: dict[str, SubscriptionStatus] = {}
        self._inactive: dict[str, tuple[Subscription, str]] = {}
        self._stopping = False
        self._told_dropped = 0
        self._refused = ""
        self.activity_dropped = 0
        """Additions to the activity log that were lost since the start: refused, or too many for the outage."""
        self._thread = Thread(target=self._run, name="recorder", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self, budget_s: float) -> None:
        """Write what waits and end; blocks for at most `budget_s`."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(budget_s)

    def add_dead_letters(self, dead_letters: list[DeadLetter], committed: Callable[[], None]) -> None:
        """Put records of one subscription aside; `committed` is called on the recorder's thread once all have rows."""
        self.dead_letters.add(dead_letters, committed)
        self.wake()

    def wake(self) -> None:
        """There is something to write."""
        with self._changed:
            self._changed.notify()

    def add_activity(self, rows: Callable[[], list[Activity]]) -> None:
        """Add to the activity log; `rows` renders them on the recorder's thread."""
        with self._changed:
            self.activity_dropped += len(self._activity) == ACTIVITY_HELD
            self._activity.append(rows)
            self._changed.notify()

    def set_status(self, latest: SubscriptionStatus) -> None:
        """Overwrite a subscription's condition."""
        with self._changed:
            self._statuses[latest.subscription_id] = latest
            self._changed.notify()

    def deactivate(self, subscription: Subscription, reason: str) -> None:
        """Switch this version of a subscription off, as soon as the database can be told."""
        with self._changed:
            self._inactive[subscription.id] = (subscription, reason)
            self._changed.notify()

    def check(self) -> None:
        """Raises RowsRefused while the database refuses what has to be written: it is tried again and again."""
        if self._refused:
            raise RowsRefused(self._refused)

    @property
    def _waiting(self) -> bool:
        return bool(self.dead_letters.waiting or self._activity or self._statuses or self._inactive)

    def _run(self) -> None:
        while True:
            with self._changed:
                # Also when nobody has anything to say for long: what is kept grows old.
                wait_s = COUNT_AGAIN_S if self.dead_letters.blocked else PURGE_INTERVAL_S
                self._changed.wait_for(lambda: self._stopping or self._waiting, wait_s)
                if self._stopping and not self._waiting:
                    return
            if not self._round() and self._pause():
                return

    def _round(self) -> bool:
        """Write what waits; answers whether all of it was."""
        try:
            return self._write()
        except StoreUnavailable as error:
            _log.warning("store_unavailable", code=error.code, detail=error.detail)
        except Exception:  # noqa: BLE001 - the top of the thread: what cannot be written must not end all writing
            _log.exception("recorder_failed")
        finally:
            self._tell_dropped()
        return False

    def _tell_dropped(self) -> None:
        with self._changed:
            dropped, self._told_dropped = self.activity_dropped - self._told_dropped, self.activity_dropped
        if dropped:
            _log.warning("activity_dropped", additions=dropped)

    def _pause(self) -> bool:
        """Wait a little; answers whether to give up, which is only when the process stops."""
        with self._changed:
            return self._changed.wait_for(lambda: self._stopping, BACK_OFF_S)

    def _write(self) -> bool:
        dead_letters = self.dead_letters.write(self._accepted)
        # Before its condition, which would make another alert due for what one is to say.
        told = self._accepted(self._write_inactive, rows="subscriptions")
        told &= self._write_statuses()
        self._write_activity()
        self._purge()
        complete = dead_letters and told
        if complete:
            self._refused = ""
        return complete

    def _accepted(self, write: Callable[[], None], *, rows: str, **facts: object) -> bool:
        """Whether the database took it. Raises StoreUnavailable."""
        try:
            write()
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - whatever is wrong with these rows is not wrong with the others
            # One line of it: the others may show the row.
            detail = f"{type(error).__name__}: {error}".partition("\n")[0]
            self._refused = f"{rows}: {detail}"
            _log.error("rows_refused", code=RowsRefused.code, rows=rows, detail=detail, **facts)
            return False
        return True

    def _write_statuses(self) -> bool:
        with self._changed:
            latest = dict(self._statuses)
        if not latest:
            return True
        if self._accepted(partial(self._overwrite, list(latest.values())), rows="conditions"):
            written = latest
        else:
            written = {id_: found for id_, found in latest.items() if self._accepted_alone(found)}
        with self._changed:
            self._statuses = {id_: now for id_, now in self._statuses.items() if written.get(id_) is not now}
        return len(written) == len(latest)

    def _accepted_alone(self, status: SubscriptionStatus) -> bool:
        of = status.subscription_id
        return self._accepted(partial(self._overwrite, [status]), rows="condition", subscription=of)

    def _overwrite(self, latest: Sequence[SubscriptionStatus]) -> None:
        with self._database.transaction() as session:
            # What they make due is lost with them or with neither.
            raised = due_alerts.raise_due(session, latest, self._wall_clock())
            subscription_statuses.write(session, latest)
        due_alerts.log(raised)

    def _write_inactive(self) -> None:
        for id_, (subscription, reason) in list(self._inactive.items()):
            now, raised = self._wall_clock(), list[Alert]()
            with self._database.transaction() as session:
                if subscriptions.deactivate(session, subscription, reason):
                    activity.append(session, [_turned_off(id_, reason, now)])
                    raised = due_alerts.raise_deactivation(session, replace(subscription, inactive_reason=reason), now)
            due_alerts.log(raised)
            _log.warning("subscription_deactivated", code=reason, subscription=id_, version=subscription.version)
            with self._changed:
                self._inactive.pop(id_, None)

    def _write_activity(self) -> None:
        while self._activity:
            with self._changed:
                taken = [self._activity.popleft() for _ in range(min(len(self._activity), ROWS_A_WRITE))]
            try:
                if not self._accepted(partial(self._log_activity, taken), rows="activity"):
                    self._drop(len(taken))
            except StoreUnavailable:
                self._give_back(taken)
                raise

    def _log_activity(self, taken: Sequence[Callable[[], list[Activity]]]) -> None:
        rows = [row for render in taken for row in render()]
        with self._database.transaction() as session:
            activity.append(session, rows)

    def _drop(self, additions: int) -> None:
        with self._changed:
            self.activity_dropped += additions

    def _give_back(self, taken: Sequence[Callable[[], list[Activity]]]) -> None:
        with self._changed:
            kept = min(ACTIVITY_HELD - len(self._activity), len(taken))
            self.activity_dropped += len(taken) - kept
            self._activity.extendleft(reversed(taken[len(taken) - kept :]))

    def _purge(self) -> None:
        now = self._wall_clock()
        if now - self._purged_at < PURGE_INTERVAL_S:
            return
        with self._database.transaction() as session:
            purged = activity.purge(session, now - self._retention_s)
        with self._database.transaction() as session:
            purged_dead_letters = dead_letters.purge(session, now - self._dead_letter_retention_s)
        if purged < activity.PURGE_ROWS and purged_dead_letters < dead_letters.PURGE_ROWS:
            # Otherwise there is more: the next round goes on.
            self._purged_at = now


def _turned_off(id_: str, reason: str, now: float) -> Activity:
    return Activity(subscription_id=id_, at=now, event=Event.INACTIVE, succeeded=False, error=reason)
