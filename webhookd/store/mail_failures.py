"""Addresses that did not get their newest mail. Every function works inside the caller's transaction.

A row is inserted with the first mail that does not reach an address. It is deleted when a mail reaches the address,
when the address is removed (its subscription is changed or deleted), or when it is as old as mails are kept.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, tuple_
from sqlalchemy.orm import Session

from webhookd.flow.alerting.mail import MailResult, RecipientResult
from webhookd.store.dialects import upsert
from webhookd.store.tables import MailFailureRow, storable

OPERATORS = ""
"""The value of `owner` for the operators' addresses."""

RECIPIENT_CHARACTERS = 320
"""The longest address; longer ones were stored before the API refused them."""

LATE_S = 3600.0
"""A mail that waits for longer counts as not delivered; a mail server that is only busy accepts it sooner."""

PURGE_ROWS = 5000

LOST = (MailResult.REFUSED.value, MailResult.GIVEN_UP.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class MailFailure:
    """An address and why its newest mail did not arrive; `since` is the first attempt of the first such mail."""

    recipient: str
    result: MailResult
    detail: str
    mails: int
    since: float
    at: float


def note(session: Session, owner: str, results: Iterable[RecipientResult], now: float) -> None:
    """Store the result of a mail for each recipient."""
    for item in results:
        recipient = _key(item.recipient)
        where = and_(MailFailureRow.owner == owner, MailFailureRow.recipient == recipient)
        if item.result is MailResult.DELIVERED:
            session.execute(delete(MailFailureRow).where(where))
        elif item.tried or item.result is MailResult.GIVEN_UP:
            before = session.execute(select(MailFailureRow.mails, MailFailureRow.since).where(where)).first()
            row = {
                "owner": owner,
                "recipient": recipient,
                "result": item.result.value,
                "detail": item.detail,
                "mails": (before.mails if before else 0) + (item.result.value in LOST),
                "since": before.since if before else now,
                "at": now,
            }
            upsert(session, MailFailureRow, [row], keys=["owner", "recipient"])


def read(session: Session, owner: str, recipients: Sequence[str]) -> list[MailFailure]:
    """Return which of these addresses fail, in their order."""
    rows = session.scalars(select(MailFailureRow).where(MailFailureRow.owner == owner))
    found = {
        row.recipient: MailFailure(
            recipient=row.recipient,
            result=MailResult(row.result),
            detail=row.detail,
            mails=row.mails,
            since=row.since,
            at=row.at,
        )
        for row in rows
    }
    return [found[key] for key in map(_key, recipients) if key in found]


def count(session: Session, now: float) -> int:
    """How many addresses of subscriptions and operators do not get their mails."""
    return session.scalar(select(func.count()).select_from(MailFailureRow).where(_undelivered(now))) or 0


def operators_missed(session: Session, now: float) -> int:
    """How many addresses of operators do not get their mails."""
    ours = and_(MailFailureRow.owner == OPERATORS, _undelivered(now))
    return session.scalar(select(func.count()).select_from(MailFailureRow).where(ours)) or 0


def keep(session: Session, owner: str, recipients: Collection[str]) -> None:
    """Delete the addresses of an owner that are not among these."""
    gone = MailFailureRow.recipient.not_in([_key(recipient) for recipient in recipients])
    session.execute(delete(MailFailureRow).where(MailFailureRow.owner == owner, gone))


def purge(session: Session, older_than: float, *, limit: int = PURGE_ROWS) -> None:
    """Delete what was last updated before `older_than`, at most `limit` rows, the oldest first."""
    key = tuple_(MailFailureRow.owner, MailFailureRow.recipient)
    oldest = select(MailFailureRow.owner, MailFailureRow.recipient).where(MailFailureRow.at < older_than)
    expired = oldest.order_by(MailFailureRow.at).limit(limit)
    session.execute(delete(MailFailureRow).where(key.in_(expired)))


def _undelivered(now: float) -> ColumnElement[bool]:
    late = and_(MailFailureRow.result == MailResult.LATER.value, MailFailureRow.since < now - LATE_S)
    return or_(MailFailureRow.result.in_(LOST), late)


def _key(recipient: str) -> str:
    return storable(recipient)[:RECIPIENT_CHARACTERS]
