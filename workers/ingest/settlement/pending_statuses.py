"""Statuses and deactivations of subscriptions that wait for the database; only the latest status is kept.

Alerts that a status makes due are written in the same transaction, so that both are stored or neither is. A
deactivation is written before the status: the status would make another alert due for the same event.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from threading import Lock

from webhookd import logs
from webhookd.clock import WallClock
from webhookd.flow.access.caller import SERVICE
from webhookd.flow.alerting.alert import Alert
from webhookd.flow.status.activity import Activity, Event
from webhookd.flow.status.subscription_status import SubscriptionStatus
from webhookd.flow.subscription import Subscription
from webhookd.store import activity, audit_log, subscription_statuses, subscriptions
from webhookd.store.audit_log import Change
from webhookd.store.database import Database
from workers.ingest.alerting import due_alerts
from workers.ingest.settlement.write_attempts import TryWrite

_log = logs.get(__name__)


class PendingStatuses:
    """`write` is called by one thread; any thread may call the other methods."""

    def __init__(self, database: Database, wall_clock: WallClock) -> None:
        self._database = database
        self._wall_clock = wall_clock
        self._lock = Lock()
        self._statuses: dict[str, SubscriptionStatus] = {}
        self._deactivations: dict[str, tuple[Subscription, str]] = {}

    @property
    def waiting(self) -> bool:
        """Whether there is something to write."""
        return bool(self._statuses or self._deactivations)

    def set(self, latest: SubscriptionStatus) -> None:
        """Let a status wait for the next write, in place of an older one of the subscription."""
        with self._lock:
            self._statuses[latest.subscription_id] = latest

    def deactivate(self, subscription: Subscription, reason: str) -> None:
        """Let the deactivation of this version of a subscription wait for the next write."""
        with self._lock:
            self._deactivations[subscription.id] = (subscription, reason)

    def write(self, try_write: TryWrite) -> bool:
        """Write all of it; return whether the database accepted it. Raises StoreUnavailable."""
        accepted = self._write_deactivations(try_write)
        return self._write_statuses(try_write) and accepted

    def _write_statuses(self, try_write: TryWrite) -> bool:
        with self._lock:
            latest = dict(self._statuses)
        if not latest:
            return True
        if try_write(partial(self._overwrite, list(latest.values())), rows="statuses"):
            written = latest
        else:
            written = {id_: status for id_, status in latest.items() if self._write_alone(status, try_write)}
        with self._lock:
            self._statuses = {id_: now for id_, now in self._statuses.items() if written.get(id_) is not now}
        return len(written) == len(latest)

    def _write_alone(self, status: SubscriptionStatus, try_write: TryWrite) -> bool:
        return try_write(partial(self._overwrite, [status]), rows="status", subscription=status.subscription_id)

    def _overwrite(self, latest: Sequence[SubscriptionStatus]) -> None:
        with self._database.transaction() as session:
            raised = due_alerts.raise_due(session, latest, self._wall_clock())
            subscription_statuses.write(session, latest)
        due_alerts.log(raised)

    def _write_deactivations(self, try_write: TryWrite) -> bool:
        with self._lock:
            waiting = dict(self._deactivations)
        written = [id_ for id_, pending in waiting.items() if self._deactivate_alone(id_, pending, try_write)]
        return len(written) == len(waiting)

    def _deactivate_alone(self, id_: str, pending: tuple[Subscription, str], try_write: TryWrite) -> bool:
        if not try_write(partial(self._deactivate, *pending), rows="subscription", subscription=id_):
            return False
        with self._lock:
            if self._deactivations.get(id_) is pending:
                del self._deactivations[id_]
        return True

    def _deactivate(self, subscription: Subscription, reason: str) -> None:
        id_, now, raised = subscription.id, self._wall_clock(), list[Alert]()
        with self._database.transaction() as session:
            if subscriptions.deactivate(session, subscription, reason):
                activity.append(session, [_deactivation(id_, reason, now)])
                audit_log.record(session, SERVICE, _change(subscription, reason))
                raised = due_alerts.raise_deactivation(session, replace(subscription, inactive_reason=reason), now)
        due_alerts.log(raised)
        _log.warning("subscription_deactivated", code=reason, subscription=id_, version=subscription.version)


def _deactivation(id_: str, reason: str, now: float) -> Activity:
    return Activity(subscription_id=id_, at=now, event=Event.INACTIVE, succeeded=False, error=reason)


def _change(subscription: Subscription, reason: str) -> Change:
    return Change(
        action="deactivate",
        subject_kind="Subscription",
        subject_id=subscription.id,
        tenant=subscription.tenant,
        before={"id": subscription.id, "active": "yes"},
        after={"id": subscription.id, "active": "no", "reason": reason},
    )
