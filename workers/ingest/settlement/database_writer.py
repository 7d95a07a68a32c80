"""Writes the rows of an ingest process to the database in batches, on a thread of its own outside the hot path.

rows           while the database is down                  rows that the database rejects
dead letters   all wait; their lanes are paused            are tried again, after all other rows
statuses       the latest of each subscription waits       are tried again
consents       all wait                                    are tried again
activity       as many as fit wait; the oldest are lost    are dropped and counted

Dead letters also wait while their subscription has as many rows as the limit allows (pending_dead_letters.py).
"""

from collections.abc import Callable
from threading import Condition, Thread

from webhookd import logs
from webhookd.clock import Monotonic, WallClock
from webhookd.errors import StoreUnavailable
from webhookd.flow.dead_letter import DeadLetter
from webhookd.flow.status.activity import Activity
from webhookd.flow.status.subscription_status import SubscriptionStatus
from webhookd.flow.subscription import Subscription
from webhookd.store import activity, audit_log, dead_letters, idempotency_keys
from webhookd.store.database import Database
from workers.ingest.settlement.dead_letter_space import COUNT_AGAIN_S, Limits
from workers.ingest.settlement.pending_activity import PendingActivity
from workers.ingest.settlement.pending_dead_letters import PendingDeadLetters
from workers.ingest.settlement.pending_statuses import PendingStatuses
from workers.ingest.settlement.pending_verifications import PendingVerifications
from workers.ingest.settlement.write_attempts import WriteAttempts

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
        audit_retention_s: float,
        dead_letter_limit: int,
        tenant_dead_letter_limit: int | None = None,
        wall_clock: WallClock,
        monotonic: Monotonic,
    ) -> None:
        self._database = database
        self._retention_s = retention_s
        self._dead_letter_retention_s = dead_letter_retention_s
        self._audit_retention_s = audit_retention_s
        self._wall_clock = wall_clock
        self._purged_at = 0.0
        self._changed = Condition()
        self.dead_letters = PendingDeadLetters(
            database, Limits(subscription=dead_letter_limit, tenant=tenant_dead_letter_limit), monotonic
        )
        """The dead letters that wait for their rows; a caller that adds to them must then call `wake`."""
        self._statuses = PendingStatuses(database, wall_clock)
        self._verifications = PendingVerifications(database)
        self._activity = PendingActivity(database)
        self._attempts = WriteAttempts()
        self._stopping = False
        self._thread = Thread(target=self._run, name="database-writer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, budget_s: float) -> None:
        """Write what waits and end the thread; blocks for at most `budget_s`."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(budget_s)

    def add_dead_letters(self, of: Subscription, dead_letters: list[DeadLetter], committed: Callable[[], None]) -> None:
        """Store dead letters of a subscription; `committed` is called on the writer's thread once all have rows."""
        self.dead_letters.add(of, dead_letters, committed)
        self.wake()

    def wake(self) -> None:
        """Wake the thread: there is something to write."""
        with self._changed:
            self._changed.notify()

    def add_activity(self, rows: Callable[[], list[Activity]]) -> None:
        """Add to the activity log; `rows` renders the rows on the writer's thread."""
        self._activity.add(rows)
        self.wake()

    def set_status(self, latest: SubscriptionStatus) -> None:
        """Overwrite a subscription's status."""
        self._statuses.set(latest)
        self.wake()

    def deactivate(self, subscription: Subscription, reason: str) -> None:
        """Deactivate this version of a subscription, as soon as the database can be reached."""
        self._statuses.deactivate(subscription, reason)
        self.wake()

    def set_verified(self, subscription: Subscription, granted_per_minute: int | None) -> None:
        """Store that the endpoint of this version has consented, as soon as the database can be reached."""
        self._verifications.set(subscription, granted_per_minute)
        self.wake()

    @property
    def activity_dropped(self) -> int:
        """Additions to the activity log that were lost since the start."""
        return self._activity.dropped

    def check(self) -> None:
        """Raises RowsRefused while the database rejects rows that must be written and are tried again."""
        self._attempts.check()

    @property
    def _waiting(self) -> bool:
        pending = (self.dead_letters, self._activity, self._statuses, self._verifications)
        return any(rows.waiting for rows in pending)

    def _run(self) -> None:
        while True:
            with self._changed:
                # Wake up without new rows too, to purge old rows.
                wait_s = COUNT_AGAIN_S if self.dead_letters.blocked else PURGE_INTERVAL_S
                self._changed.wait_for(lambda: self._stopping or self._waiting, wait_s)
                if self._stopping and not self._waiting:
                    return
            if not self._write_round() and self._pause():
                return

    def _write_round(self) -> bool:
        """Write what waits; return whether the database accepted all of it."""
        try:
            return self._write()
        except StoreUnavailable as error:
            _log.warning("store_unavailable", code=error.code, detail=error.detail)
        except Exception:  # noqa: BLE001 - the top of the thread: an error must not end it
            _log.exception("database_writer_failed")
        finally:
            self._activity.log_dropped()
        return False

    def _pause(self) -> bool:
        """Wait a little; return whether to end the thread, which is when the process stops."""
        with self._changed:
            return self._changed.wait_for(lambda: self._stopping, BACK_OFF_S)

    def _write(self) -> bool:
        dead_letters_accepted = self.dead_letters.write(self._attempts.run)
        statuses_accepted = self._statuses.write(self._attempts.run)
        verifications_accepted = self._verifications.write(self._attempts.run)
        self._activity.write(self._attempts.run)
        self._purge()
        complete = dead_letters_accepted and statuses_accepted and verifications_accepted
        if complete:
            self._attempts.all_accepted()
        return complete

    def _purge(self) -> None:
        now = self._wall_clock()
        if now - self._purged_at < PURGE_INTERVAL_S:
            return
        with self._database.transaction() as session:
            more = activity.purge(session, now - self._retention_s) == activity.PURGE_ROWS
        with self._database.transaction() as session:
            more |= dead_letters.purge(session, now - self._dead_letter_retention_s) == dead_letters.PURGE_ROWS
        with self._database.transaction() as session:
            more |= audit_log.purge(session, now - self._audit_retention_s) == audit_log.PURGE_ROWS
        with self._database.transaction() as session:
            more |= idempotency_keys.purge(session, now) == idempotency_keys.PURGE_ROWS
        if not more:
            # Otherwise more rows are too old: the next round continues.
            self._purged_at = now
