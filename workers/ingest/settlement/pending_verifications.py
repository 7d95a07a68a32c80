"""Consents of endpoints that wait for the database. What is written gives the subscription another version."""

from threading import Lock

from webhookd import logs
from webhookd.flow.access.caller import SERVICE
from webhookd.flow.subscription import Subscription
from webhookd.store import audit_log, endpoint_verifications
from webhookd.store.audit_log import Change
from webhookd.store.database import Database
from workers.ingest.settlement.write_attempts import TryWrite

_log = logs.get(__name__)


class PendingVerifications:
    """`write` is called by one thread; any thread may call the other methods."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = Lock()
        self._pending: dict[str, tuple[Subscription, int | None]] = {}

    @property
    def waiting(self) -> bool:
        """Whether there is something to write."""
        return bool(self._pending)

    def set(self, subscription: Subscription, granted_per_minute: int | None) -> None:
        """Let the consent to this version of a subscription wait for the next write."""
        with self._lock:
            self._pending[subscription.id] = (subscription, granted_per_minute)

    def write(self, try_write: TryWrite) -> bool:
        """Write all of it; return whether the database accepted it. Raises StoreUnavailable."""
        return not self._pending or try_write(self._write, rows="subscriptions")

    def _write(self) -> None:
        for id_, pending in list(self._pending.items()):
            subscription, granted_per_minute = pending
            with self._database.transaction() as session:
                written = endpoint_verifications.set_verified(session, id_, subscription.version, granted_per_minute)
                if written:
                    audit_log.record(session, SERVICE, _change(subscription, granted_per_minute))
            if written:
                _log.info("endpoint_verified", subscription=id_, granted_per_minute=granted_per_minute)
            with self._lock:
                if self._pending.get(id_) is pending:
                    del self._pending[id_]


def _change(subscription: Subscription, granted_per_minute: int | None) -> Change:
    url = subscription.destination.url
    return Change(
        action="verify",
        subject_kind="Subscription",
        subject_id=subscription.id,
        tenant=subscription.tenant,
        before={"id": subscription.id, "url": url, "verified": "no"},
        after={"id": subscription.id, "url": url, "verified": "yes", "granted_per_minute": granted_per_minute},
    )
