"""The outbox of mails. Every function works inside the caller's transaction.

    add        in one transaction with its cause: a crash loses neither
    claim      postpones the next try before this try is made, so that two processes do not send the same mail
    settle     stores the result of each recipient; the next try is for those who may still get the mail
    later      no recipient could be tried: another try for all follows, at growing intervals
    give_up    ends the tries

A process that dies between sending and `settle` repeats the mail after CLAIM_S, with the same Message-ID.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, select, update
from sqlalchemy.orm import Session

from webhookd.flow.alerting.alert import Alert
from webhookd.flow.alerting.alert_recipient import AlertRecipient
from webhookd.flow.alerting.mail import Mail, MailResult, RecipientResult, remaining_recipients
from webhookd.flow.subscription import OnExhausted, Subscription
from webhookd.store import mail_failures, subscriptions
from webhookd.store.dialects import insert_if_new
from webhookd.store.tables import MailRow, SubscriptionRow

CLAIM_S = 300.0
"""A claimed mail is not claimed again for this time, which is longer than any try takes (edges/mailer.py)."""

FIRST_WAIT_S = 15.0
LONGEST_WAIT_S = 300.0
"""The waits between the tries of one mail are 15, 30, 60, 120, 240, 300, 300 … seconds."""

PURGE_ROWS = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedMail:
    """A mail that this process sends now; `tries` includes this one.

    `owner` is the subscription that the mail is about, empty for a mail to the operators.
    """

    id: int
    owner: str
    tries: int
    mail: Mail


def add(session: Session, alerts: Iterable[Alert], *, sent_at: float | None = None) -> None:
    """Add mails to the outbox, due at once or as already sent; mails without recipients are left out."""
    for alert in alerts:
        if alert.mail.recipients:
            insert_if_new(session, MailRow, _to_row(alert, sent_at))


def claim(session: Session, now: float) -> ClaimedMail | None:
    """Claim and return the mail that is due for longest and that no other process sends; None if there is none."""
    query = (
        select(MailRow)
        .where(MailRow.next_try_at <= now)
        .order_by(MailRow.next_try_at, MailRow.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = session.scalars(query).first()
    if row is None:
        return None
    row.next_try_at = now + CLAIM_S
    row.tries += 1
    return ClaimedMail(id=row.id, owner=owner_of(row.subject_key), tries=row.tries, mail=_mail(row))


def waiting(session: Session) -> int:
    """How many mails are to be sent, now or later."""
    return session.scalar(select(func.count()).where(MailRow.next_try_at.is_not(None))) or 0


def settle(session: Session, claimed: ClaimedMail, results: Sequence[RecipientResult], now: float) -> None:
    """Store the result of a try; the next one is for the recipients who may still get the mail."""
    mail_failures.note(session, claimed.owner, _still_addressed(session, claimed.owner, results), now)
    left = remaining_recipients(results)
    changes: dict[str, Any] = {"recipients": list(left)}
    if any(item.result is MailResult.DELIVERED for item in results):
        changes["sent_at"] = now
    _update(session, claimed, next_try_at=now + wait_s(claimed.tries) if left else None, **changes)


def later(session: Session, claimed: ClaimedMail, now: float) -> None:
    """Schedule another try for all recipients: none of them could be tried."""
    _update(session, claimed, next_try_at=now + wait_s(claimed.tries))


def give_up(session: Session, claimed: ClaimedMail, detail: str, now: float) -> None:
    """End the tries; the remaining recipients do not get the mail."""
    given_up = [
        RecipientResult(recipient=recipient, result=MailResult.GIVEN_UP, detail=detail)
        for recipient in claimed.mail.recipients
    ]
    mail_failures.note(session, claimed.owner, _still_addressed(session, claimed.owner, given_up), now)
    _update(session, claimed, next_try_at=None)


def wait_s(tries: int) -> float:
    """Seconds from this try of a mail to the next one."""
    return min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(tries - 1, 10))


def owner_of(subject_key: str) -> str:
    """The subscription that a key is about, its second part; empty for a mail to the operators."""
    kind, _, name = subject_key.partition(":")
    return mail_failures.OPERATORS if kind == "fault" else name.partition(":")[0]


def purge(session: Session, older_than: float, *, limit: int = PURGE_ROWS) -> None:
    """Delete mails that are sent or given up, and were created before `older_than`."""
    settled: ColumnElement[bool] = and_(MailRow.next_try_at.is_(None), MailRow.created_at < older_than)
    expired = select(MailRow.id).where(settled).order_by(MailRow.created_at).limit(limit)
    session.execute(delete(MailRow).where(MailRow.id.in_(expired)))


def recipients(session: Session, ids: Sequence[str]) -> dict[str, AlertRecipient]:
    """The alert recipients of these subscriptions; deleted ones are absent, unusable ones may have no address."""
    loaded = subscriptions.load(session, ids)
    return {
        id_: recipient(found) if isinstance(found, Subscription) else _readable_part(session, id_)
        for id_, found in loaded.items()
    }


def recipient(subscription: Subscription) -> AlertRecipient:
    """The alert recipient of a subscription."""
    return AlertRecipient(
        id=subscription.id,
        name=subscription.name,
        emails=subscription.alerting.emails,
        active=subscription.active,
        version=subscription.version,
        on_exhausted=subscription.retry.on_exhausted,
        url=subscription.destination.url,
        tls_verify=subscription.destination.tls.verify,
    )


def _readable_part(session: Session, id_: str) -> AlertRecipient:
    """Return what can still be read of a damaged row, so that its owner gets the alert about it."""
    summary = subscriptions.summary(session, id_)
    return AlertRecipient(
        id=id_,
        name=summary.name or id_,
        emails=_stored_emails(session, id_),
        active=summary.active,
        on_exhausted=OnExhausted.PAUSE,
    )


def _stored_emails(session: Session, id_: str) -> tuple[str, ...]:
    """Return the stored addresses; none for a subscription that is deleted, or whose addresses are damaged."""
    try:
        stored = session.scalar(select(SubscriptionRow.alert_emails).where(SubscriptionRow.id == id_))
    except ValueError:
        stored = None
    emails = stored if isinstance(stored, list) else []
    return tuple(email for email in emails if isinstance(email, str))


def _still_addressed(session: Session, owner: str, results: Sequence[RecipientResult]) -> list[RecipientResult]:
    """Results for current addresses only: the subscription may have been changed or deleted since."""
    if owner == mail_failures.OPERATORS:
        return list(results)
    emails = _stored_emails(session, owner)
    return [item for item in results if item.recipient in emails]


def _update(session: Session, claimed: ClaimedMail, **values: Any) -> None:  # noqa: ANN401  # columns
    session.execute(update(MailRow).where(MailRow.id == claimed.id).values(**values))


def _mail(row: MailRow) -> Mail:
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
