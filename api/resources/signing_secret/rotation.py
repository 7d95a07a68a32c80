"""Rotates the secret that signs a subscription's requests, and shows it; each has its entry in the audit log.

The new version of the subscription is stored under a lock: no other change comes in between. Topics and positions stay,
so neither the policies nor Kafka are asked.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sqlalchemy.orm import Session

from api.extensions.callers import current_caller, transaction
from api.ports import Services
from api.resources.subscription import lifecycle
from api.resources.subscription.preconditions import Preconditions
from api.resources.subscription.signing_wire import Signing, made, render_secret
from api.resources.subscription.wire import Document
from webhookd import clock, logs
from webhookd.errors import Conflict
from webhookd.flow.attempt.signature import SigningKind, kind_of, rotated
from webhookd.flow.subscription import Subscription
from webhookd.store import audit_log, subscriptions
from webhookd.store.audit_log import Change

KIND = "SigningSecret"
"""The kind of the subject in the audit log; its id is the subscription's."""

_log = logs.get(__name__)


def show(services: Services, id_: str) -> Signing:
    """Return the secrets of a subscription, and record who has read them; raises as `subscriptions.find` does."""
    with transaction(services) as session:
        found = subscriptions.find(session, id_)
        _record(session, "read", found, before=None, after=None)
    return found.destination.signing


def rotate(
    services: Services,
    id_: str,
    document: Document,
    preconditions: Preconditions,
    also_store: Callable[[Session, Signing], None],
) -> Signing:
    """Replace the secret, and return the secrets that sign from now on; `also_store` is called in the transaction.

    Raises NotFound, UnusableSubscription, PreconditionFailed, StoreUnavailable, and Conflict when requests are not
    signed, the secret signs already, or as many secrets sign as may.
    """
    now, overlap_s = clock.wall_clock(), float(document["overlap_seconds"])
    with transaction(services) as session:
        subscriptions.lock(session, id_)
        stored = subscriptions.find(session, id_)
        preconditions.check(stored)
        signing = rotated(stored.destination.signing, _secret(document, stored), overlap_s=overlap_s, now=now)
        changed = _next_version(stored, signing, now)
        subscriptions.replace(session, changed, revision=stored.history.revision)
        before, after = (_document(one, now) for one in (stored, changed))
        _record(session, "rotate", changed, before=before, after=after)
        also_store(session, signing)
    _log.info("signing_secret_rotated", subscription=id_, version=changed.version, overlap_s=overlap_s)
    lifecycle.notify(services, id_, changed.version)
    return signing


def _secret(document: Document, stored: Subscription) -> str:
    """The new secret: the one that was sent, or one that is made."""
    current = kind_of(stored.destination.signing)
    if current is SigningKind.NONE:
        raise Conflict("requests are not signed: change destination.webhook.signing.kind first")
    given: str | None = document["secret"]
    return given if given is not None else made(SigningKind(document["kind"] or current)).secret


def _next_version(stored: Subscription, signing: Signing, now: float) -> Subscription:
    return replace(
        stored,
        version=stored.version + 1,
        destination=replace(stored.destination, signing=signing),
        history=replace(stored.history, revision=stored.history.revision + 1, updated_at=now),
    )


def _document(subscription: Subscription, now: float) -> dict[str, Any]:
    return render_secret(subscription.destination.signing, now, shown=False)


def _record(
    session: Session,
    action: str,
    subscription: Subscription,
    *,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
) -> None:
    change = Change(
        action=action,
        subject_kind=KIND,
        subject_id=subscription.id,
        tenant=subscription.tenant,
        before=before,
        after=after,
    )
    audit_log.record(session, current_caller(), change)
