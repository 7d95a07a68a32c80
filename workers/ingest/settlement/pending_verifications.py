"""Consents of endpoints that wait for the database. What is written gives the subscription another version."""

from functools import partial
from threading import Lock

from webhookd import logs
from webhookd.flow.access.caller import SERVICE
from webhookd.flow.subscription import Subscription
from webhookd.store import audit_log, endpoint_verifications
from webhookd.store.audit_log import Change
from webhookd.store.database import Database
from workers.ingest.settlement.write_attempts import TryWrite

PendingConsent = tuple[Subscription, int | None]
"""The version whose endpoint has consented, and how many requests a minute it has granted; None for any number."""

_log = logs.get(__name__)


class PendingVerifications:
    """`write` is called by one thread; any thread may call the other methods."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = Lock()
        self._pending: dict[str, PendingConsent] = {}

    @property
    def waiting(self) -> bool:
        """Whether there is something to write."""
        return bool(self._pending)

    def set(self, subscription: Subscription, granted_per_minute: int | None) -> None:
        """Let the consent to this version of a subscription wait for the next write."""
        with self._lock:
            self._pending[subscription.id] = (subscription, granted_per_minute)

    def write(self, try_write: TryWrite) -> bool:
        """Write each consent alone; return whether the database accepted all of them. Raises StoreUnavailable."""
        with self._lock:
            waiting = dict(self._pending)
        written = [id_ for id_, consent in waiting.items() if self._write_alone(id_, consent, try_write)]
        return len(written) == len(waiting)

    def _write_alone(self, id_: str, consent: PendingConsent, try_write: TryWrite) -> bool:
        if not try_write(partial(self._write, id_, *consent), rows="subscription", subscription=id_):
            return False
        with self._lock:
            if self._pending.get(id_) is consent:
                del self._pending[id_]
        return True

    def _write(self, id_: str, subscription: Subscription, granted_per_minute: int | None) -> None:
        with self._database.transaction() as session:
            written = endpoint_verifications.set_verified(session, id_, subscription.version, granted_per_minute)
            if written:
                audit_log.record(session, SERVICE, _change(subscription, granted_per_minute))
        if written:
            _log.info("endpoint_verified", subscription=id_, granted_per_minute=granted_per_minute)


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
