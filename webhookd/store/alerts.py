"""The outbox of mails. Every function works inside the caller's transaction.

    add        with what caused it, in one transaction: a crash loses neither
    claim      puts the next try off before this one is made, so that no two processes are at one mail
    sent       over; later: tried again at growing intervals; closed: never tried again

A process that dies between sending and `sent` repeats the mail after CLAIM_S, with the same Message-ID.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, select, update
from sqlalchemy.orm import Session

from webhookd.flow.addressee import Addressee
from webhookd.flow.alert import Alert
from webhookd.flow.mail import Mail
from webhookd.flow.subscription import OnExhausted, Subscription
from webhookd.store import subscriptions
from webhookd.store.dialects import insert_if_new
from webhookd.store.tables import AlertRow, SubscriptionRow

CLAIM_S = 300.0
"""Longer than any try takes (edges/mailer.py)."""

FIRST_WAIT_S = 15.0
LONGEST_WAIT_S = 300.0
"""Between the tries of one mail: 15, 30, 60, 120, 240, 300, 300 … seconds."""

PURGE_ROWS = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A mail that is this process' to send now; `tries` counts this one."""

    id: int
    tries: int
    mail: Mail


def add(session: Session, alerts: Iterable[Alert], *, sent_at: float | None = None) -> None:
    """Put mails into the outbox, due at once, or as sent already; those for nobody are left out."""
    for alert in alerts:
        if alert.mail.recipients:
            insert_if_new(session, AlertRow, _to_row(alert, sent_at))


def claim(session: Session, now: float) -> Claimed | None:
    """The mail that has been due for longest, if there is one that no other process is at."""
    query = (
        select(AlertRow)
        .where(AlertRow.next_try_at <= now)
        .order_by(AlertRow.next_try_at, AlertRow.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = session.scalars(query).first()
    if row is None:
        return None
    row.next_try_at = now + CLAIM_S
    row.tries += 1
    return Claimed(id=row.id, tries=row.tries, mail=_mail(row))


def sent(session: Session, claimed: Claimed, now: float) -> None:
    """The mail server took it."""
    _update(session, claimed, next_try_at=None, sent_at=now)


def later(session: Session, claimed: Claimed, now: float, recipients: Sequence[str] = ()) -> None:
    """It is to be tried again, when recipients are given only for those: the others have it."""
    wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(claimed.tries - 1, 10))
    changes: dict[str, Any] = {"recipients": list(recipients)} if recipients else {}
    _update(session, claimed, next_try_at=now + wait_s, **changes)


def close(session: Session, claimed: Claimed) -> None:
    """It is not tried again; it was never sent."""
    _update(session, claimed, next_try_at=None)


def purge(session: Session, older_than: float, *, limit: int = PURGE_ROWS) -> None:
    """Delete what was settled, one way or the other, and made before that moment."""
    settled: ColumnElement[bool] = and_(AlertRow.next_try_at.is_(None), AlertRow.created_at < older_than)
    doomed = select(AlertRow.id).where(settled).limit(limit)
    session.execute(delete(AlertRow).where(AlertRow.id.in_(doomed)))


def addressees(session: Session, ids: Sequence[str]) -> dict[str, Addressee]:
    """Whom alerts about these subscriptions are for; the deleted are absent, an unusable one may have no address."""
    loaded = subscriptions.load(session, ids)
    return {
        id_: addressee(found) if isinstance(found, Subscription) else _salvaged(session, id_)
        for id_, found in loaded.items()
    }


def addressee(subscription: Subscription) -> Addressee:
    """Whom alerts about a subscription are for."""
    return Addressee(
        id=subscription.id,
        name=subscription.name,
        emails=subscription.alerting.emails,
        active=subscription.active,
        version=subscription.version,
        on_exhausted=subscription.retry.on_exhausted,
    )


def _salvaged(session: Session, id_: str) -> Addressee:
    """What can still be read of a damaged row: its owner has to hear of it more than anybody."""
    outline = subscriptions.outline(session, id_)
    try:
        stored = session.scalar(select(SubscriptionRow.alert_emails).where(SubscriptionRow.id == id_))
    except ValueError:
        stored = None
    emails = stored if isinstance(stored, list) else []
    return Addressee(
        id=id_,
        name=outline.name or id_,
        emails=tuple(email for email in emails if isinstance(email, str)),
        active=outline.active,
        on_exhausted=OnExhausted.PAUSE,
    )


def _update(session: Session, claimed: Claimed, **values: Any) -> None:  # noqa: ANN401  # columns
    session.execute(update(AlertRow).where(AlertRow.id == claimed.id).values(**values))


def _mail(row: AlertRow) -> Mail:
    return Mail(
        token=row.message_id,
        recipients=tuple(row.recipients),
        subject=row.subject,
        body=row.body,
        created_at=row.created_at,
    )


def _to_row(alert: Alert, sent_at: float | None) -> dict[str, Any]:
    return {
        "subject_key": alert.subject_key,
        "kind": alert.kind.value,
        "message_id": alert.mail.token,
        "recipients": list(alert.mail.recipients),
        "subject": alert.mail.subject,
        "body": alert.mail.body,
        "created_at": alert.mail.created_at,
        "next_try_at": alert.mail.created_at if sent_at is None else None,
        "tries": 0 if sent_at is None else 1,
        "sent_at": sent_at,
    }
