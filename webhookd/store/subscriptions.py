"""Subscriptions in the database. Every function works inside the caller's transaction."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace as replaced
from typing import Any

from sqlalchemy import CursorResult, Row, Update, inspect, select, update
from sqlalchemy import delete as delete_from
from sqlalchemy import insert as insert_into
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import InstrumentedAttribute, Session

from webhookd import clock
from webhookd.errors import AlreadyExists, Conflict, NotFound, UnusableSubscription
from webhookd.flow.subscription import Subscription
from webhookd.store import destination_rows, secret_keys
from webhookd.store.subscription_rows import details_row, from_row, to_row
from webhookd.store.tables import SubscriptionRow

AnyRow = Row[*tuple[Any, ...]]
"""A row whose columns are read by their names."""

Loaded = Subscription | UnusableSubscription
"""A subscription, or the reason why its row cannot be used."""

SUMMARY_COLUMNS = (
    SubscriptionRow.id,
    SubscriptionRow.version,
    SubscriptionRow.name,
    SubscriptionRow.active,
    SubscriptionRow.url,
    SubscriptionRow.inactive_reason,
    SubscriptionRow.tenant,
    SubscriptionRow.revision,
    SubscriptionRow.created_at,
)
"""The columns of a SubscriptionSummary."""

ALL_COLUMNS: Sequence[InstrumentedAttribute[Any]] = [
    getattr(SubscriptionRow, attribute.key) for attribute in inspect(SubscriptionRow).column_attrs
]
"""The columns as attributes of the class: a tenant's condition is not added to those of the table."""

EXTERNAL_ID = "external_id"
"""In the driver's message when the unique index on the external id refuses a row; SQLite names the columns, Postgres
the index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionSummary:
    """The columns of a subscription that can be read even when its configuration cannot be used."""

    id: str
    version: int
    name: str
    active: bool
    url: str
    inactive_reason: str
    tenant: str
    revision: int = 1
    created_at: float = 0.0


def versions(session: Session, ids: Sequence[str] | None = None) -> dict[str, int]:
    """Id and version of every subscription, or of these only; processes compare them with what they run."""
    query = select(SubscriptionRow.id, SubscriptionRow.version)
    rows = session.execute(query if ids is None else query.where(SubscriptionRow.id.in_(ids)))
    return {row.id: row.version for row in rows}


def load(session: Session, ids: Sequence[str]) -> dict[str, Loaded]:
    """Return the subscriptions with these ids; a deleted one is absent, for an unusable one the value is its error.

    Their secrets are Sealed: nothing is decrypted.
    """
    try:
        return _load(session, ids)
    except ValueError:
        # A column of one row is not JSON; the other rows must still be loaded.
        return {id_: found for id_ in ids for found in [_load_alone(session, id_)] if found is not None}


def load_opened(session: Session, ids: Sequence[str]) -> dict[str, Loaded]:
    """Return them as `load` does, with their secrets decrypted; the value is SecretsUnreadable where that fails."""
    return {id_: _opened(session, found) for id_, found in load(session, ids).items()}


def opened(session: Session, subscription: Subscription) -> Subscription:
    """The subscription with its secrets decrypted. Raises SecretsUnreadable."""
    destination = destination_rows.opened(subscription.destination, secret_keys.of_session(session))
    return replaced(subscription, destination=destination)


def sealed(session: Session, subscription: Subscription, stored: Subscription | None) -> Subscription:
    """The subscription with its secrets encrypted; a secret that is stored already keeps its stored text.

    So it equals the stored one when nothing has changed. Raises SecretKeysMissing if a secret is written out, and there
    is no key.
    """
    before = stored.destination if stored is not None else None
    destination = destination_rows.sealed(subscription.destination, before, secret_keys.of_session(session))
    return replaced(subscription, destination=destination)


def find(session: Session, id_: str) -> Subscription:
    """One subscription, as `load` returns it; raises NotFound, or UnusableSubscription with the reason."""
    match load(session, [id_]).get(id_):
        case None:
            raise NotFound(f"there is no subscription {id_}")
        case UnusableSubscription() as error:
            raise error
        case found:
            return found


def summary(session: Session, id_: str) -> SubscriptionSummary:
    """The summary of a subscription, usable or not; raises NotFound."""
    row = session.execute(select(*SUMMARY_COLUMNS).where(SubscriptionRow.id == id_)).first()
    if row is None:
        raise NotFound(f"there is no subscription {id_}")
    return summary_of(row)


def page(session: Session, *, after: str = "", limit: int) -> list[tuple[str, Loaded]]:
    """Up to `limit` subscriptions whose ids follow `after`, in the order of their ids."""
    query = select(SubscriptionRow.id).where(SubscriptionRow.id > after).order_by(SubscriptionRow.id).limit(limit)
    loaded = load(session, session.scalars(query).all())
    return sorted(loaded.items())


def insert(session: Session, subscription: Subscription) -> None:
    """Store a new subscription, with its secrets encrypted.

    Raises Conflict when its id is taken, AlreadyExists when its external id is, SecretKeysMissing when it has secrets
    and there is no key.
    """
    row = _changed(session, subscription)
    try:
        session.execute(insert_into(SubscriptionRow), [row])
    except IntegrityError as error:
        if EXTERNAL_ID in str(error.orig):
            raise _external_id_taken() from error
        raise Conflict(f"there already is a subscription {subscription.id}") from error


def confirm_external_id(session: Session, subscription: Subscription) -> None:
    """Raise AlreadyExists when another subscription of the tenant has the external id, as far as is known now.

    A subscription that is stored later meets the unique index.
    """
    query = select(SubscriptionRow.id).where(
        SubscriptionRow.tenant == subscription.tenant,
        SubscriptionRow.external_id == subscription.details.external_id,
        SubscriptionRow.id != subscription.id,
    )
    if subscription.details.external_id is not None and session.scalar(query) is not None:
        raise _external_id_taken()


def lock(session: Session, id_: str) -> None:
    """Lock a subscription, if it exists: nobody else changes or deletes it before this transaction ends."""
    session.execute(select(SubscriptionRow.id).where(SubscriptionRow.id == id_).with_for_update())


def is_current(session: Session, id_: str, version: int) -> bool:
    """Whether a subscription has this version; it does not change before this transaction ends.

    A change of the policies gives every subscription that it concerns another version in the same transaction. So what
    is written while this holds was rendered under the policies that apply until the transaction ends.
    """
    query = select(SubscriptionRow.version).where(SubscriptionRow.id == id_).with_for_update(read=True)
    return session.scalar(query) == version


def replace(session: Session, subscription: Subscription, *, revision: int | None = None) -> None:
    """Store the next version in place of the previous one.

    `subscription.version` is one more than the version that was changed; `revision` is the revision that was changed,
    if it matters. Raises Conflict if another change was stored in between, NotFound if the subscription was deleted,
    AlreadyExists if its external id is taken, SecretKeysMissing if it has a new secret, and there is no key.
    """
    changed = [SubscriptionRow.id == subscription.id, SubscriptionRow.version == subscription.version - 1]
    if revision is not None:
        changed.append(SubscriptionRow.revision == revision)
    _write(session, subscription.id, update(SubscriptionRow).where(*changed).values(**_changed(session, subscription)))


def replace_details(session: Session, subscription: Subscription) -> None:
    """Store the next revision of the details; the version stays, since no process runs anything else afterwards.

    `subscription.history.revision` is one more than the revision that was changed. Raises as `replace` does.
    """
    statement = update(SubscriptionRow).where(
        SubscriptionRow.id == subscription.id,
        SubscriptionRow.version == subscription.version,
        SubscriptionRow.revision == subscription.history.revision - 1,
    )
    _write(session, subscription.id, statement.values(**details_row(subscription)))


def _write(session: Session, id_: str, statement: Update) -> None:
    try:
        written = _count(session.execute(statement))
    except IntegrityError as error:
        raise _external_id_taken() from error
    if written == 0:
        summary(session, id_)
        raise Conflict("the subscription was changed by someone else at the same moment: read it again")


def deactivate(session: Session, subscription: Subscription, reason: str) -> bool:
    """Deactivate this version of a subscription for a reason that webhookd has found; returns whether it did.

    It does not if the subscription was changed or deleted meanwhile: the owner's change has priority.
    """
    statement = (
        update(SubscriptionRow)
        .where(SubscriptionRow.id == subscription.id, SubscriptionRow.version == subscription.version)
        .values(active=False, inactive_reason=reason, version=subscription.version + 1, changed_at=clock.wall_clock())
    )
    return _count(session.execute(statement)) > 0


def delete(session: Session, id_: str) -> None:
    """Delete a subscription with its status and activity; its dead letters stay. Raises NotFound."""
    if _count(session.execute(delete_from(SubscriptionRow).where(SubscriptionRow.id == id_))) == 0:
        raise NotFound(f"there is no subscription {id_}")


def lock_existing(session: Session, ids: Sequence[str]) -> set[str]:
    """Which of these subscriptions exist; they cannot be deleted before this transaction ends.

    Rows that refer to a subscription are written under this lock: a worker's report may arrive after the deletion.
    """
    query = select(SubscriptionRow.id).where(SubscriptionRow.id.in_(sorted(set(ids)))).order_by(SubscriptionRow.id)
    return set(session.scalars(query.with_for_update(read=True, key_share=True)))


def _load(session: Session, ids: Sequence[str]) -> dict[str, Loaded]:
    rows = session.execute(select(*ALL_COLUMNS).where(SubscriptionRow.id.in_(ids)))
    return {row.id: usable(row) for row in rows.all()}


def _load_alone(session: Session, id_: str) -> Loaded | None:
    try:
        return _load(session, [id_]).get(id_)
    except json.JSONDecodeError as error:
        return UnusableSubscription(f"not JSON: {error}")
    except ValueError as error:
        return UnusableSubscription(str(error))


def usable(row: AnyRow) -> Loaded:
    """The subscription in a row that has ALL_COLUMNS, or why it cannot be used."""
    try:
        return from_row(row._asdict())
    except UnusableSubscription as error:
        return error


def _opened(session: Session, found: Loaded) -> Loaded:
    if isinstance(found, UnusableSubscription):
        return found
    try:
        return opened(session, found)
    except UnusableSubscription as error:
        return error


def _external_id_taken() -> AlreadyExists:
    return AlreadyExists("another subscription has this external id", field="external_id")


def summary_of(row: AnyRow) -> SubscriptionSummary:
    """The summary in a row that has at least SUMMARY_COLUMNS."""
    return SubscriptionSummary(
        id=row.id,
        version=row.version,
        name=row.name,
        active=row.active,
        url=row.url,
        inactive_reason=row.inactive_reason,
        tenant=row.tenant,
        revision=row.revision,
        created_at=row.created_at,
    )


def _changed(session: Session, subscription: Subscription) -> dict[str, Any]:
    return {**to_row(subscription, secret_keys.of_session(session)), "changed_at": clock.wall_clock()}


def _count(result: object) -> int:
    return result.rowcount if isinstance(result, CursorResult) else 0
