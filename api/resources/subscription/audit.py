"""What the audit log gets to know of changes of subscriptions: documents as responses show them, and who did it."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy.orm import Session

from api.extensions.callers import current_caller
from api.resources.subscription import signing_wire
from api.resources.subscription.authentication_wire import changed_secrets
from api.resources.subscription.tls_wire import changed_key
from api.resources.subscription.wire import render
from webhookd.flow.subscription import Subscription
from webhookd.store import audit_log, subscriptions
from webhookd.store.audit_log import Change
from webhookd.store.subscription_tenants import tenant_of

KIND = "Subscription"


def created(session: Session, subscription: Subscription) -> None:
    """Record a registration."""
    _record(session, "create", subscription, after=render(subscription))


def changed(session: Session, subscription: Subscription, *, stored: Subscription | None, was_active: bool) -> None:
    """Record that a subscription was replaced; `stored` is None when its row could not be used.

    The values of headers are masked, so `changed_header_values` names the headers whose values differ. Secrets are
    masked as well, so `changed_secrets` has the paths of those that differ.
    """
    after = render(subscription)
    if stored is not None and (names := _new_values(subscription, stored)):
        after["changed_header_values"] = names
    if stored is not None and (paths := list(_changed_secrets(subscription, stored))):
        after["changed_secrets"] = paths
    before = render(stored) if stored is not None else {"id": subscription.id, "unusable": True}
    _record(session, _verb(subscription.active, was_active), subscription, before=before, after=after)


def removed(session: Session, id_: str) -> None:
    """Record a deletion, before it happens."""
    stored = subscriptions.load(session, [id_]).get(id_)
    before = render(stored) if isinstance(stored, Subscription) else {"id": id_, "unusable": True}
    tenant = tenant_of(session, id_)
    change = Change(action="delete", subject_kind=KIND, subject_id=id_, tenant=tenant, before=before)
    audit_log.record(session, current_caller(), change)


def _record(session: Session, action: str, subscription: Subscription, **documents: dict[str, Any]) -> None:
    change = Change(
        action=action, subject_kind=KIND, subject_id=subscription.id, tenant=subscription.tenant, **documents
    )
    audit_log.record(session, current_caller(), change)


def _verb(is_active: bool, was_active: bool) -> str:  # noqa: FBT001  # two states of one thing
    if is_active == was_active:
        return "change"
    return "activate" if is_active else "deactivate"


def _changed_secrets(subscription: Subscription, stored: Subscription) -> Iterator[str]:
    """The paths of the masked secrets that differ, but for those of headers."""
    if subscription.destination.signing != stored.destination.signing:
        yield signing_wire.FIELD
    yield from changed_secrets(subscription, stored)
    yield from changed_key(subscription, stored)


def _new_values(subscription: Subscription, stored: Subscription) -> list[str]:
    known = {name.lower(): value for name, value in stored.destination.headers}
    return [name for name, value in subscription.destination.headers if known.get(name.lower(), value) != value]
