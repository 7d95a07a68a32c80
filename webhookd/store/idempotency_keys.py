"""Idempotency keys and the answers that were given under them. Every function works inside the caller's transaction.

request with a key                     row before                     row after
the first one                          none, or older than 24 h       claimed
another one, meanwhile                 claimed less than 60 s ago     unchanged; RequestInProgress
after its process was killed           claimed 60 s ago or earlier    claimed again; the first one can no longer finish
the change is made                     claimed                        has an answer, in the transaction of the change
it was refused, or failed              claimed                        none
a repetition                           has an answer                  unchanged; the answer
another body, path or method           has an answer, or claimed      unchanged; IdempotencyKeyReused
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import CursorResult, delete, select, tuple_, update
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement

from webhookd.errors import IdempotencyKeyReused, RequestInProgress
from webhookd.store.access_tables import IdempotencyKeyRow
from webhookd.store.dialects import insert_if_new

KEPT_S: Final = 86_400.0
"""For this long a repetition gets the same answer."""

IN_PROGRESS_S: Final = 60.0
"""After this time without an answer the process has ended, or will not be allowed to make the change any more."""

PURGE_ROWS: Final = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedRequest:
    """A request with a key; `owner` is the caller, and `digest` that of the method, the path and the body."""

    owner: str
    key: str
    digest: str


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to make the change of a request; `claimed_at` tells it from the claims of repetitions."""

    request: KeyedRequest
    claimed_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    """The answer to a request."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


def claim(session: Session, request: KeyedRequest, now: float) -> Claim | StoredAnswer:
    """Claim a request, or return the answer that it has had.

    `now` is in seconds since the epoch. Raises RequestInProgress and IdempotencyKeyReused.
    """
    if insert_if_new(session, IdempotencyKeyRow, _fresh(request, now)):
        return Claim(request, now)
    row = session.scalars(select(IdempotencyKeyRow).where(_is_of(request)).with_for_update()).one_or_none()
    if row is None:
        raise RequestInProgress("another request with this key ends at this moment")
    if row.created_at <= now - KEPT_S:
        return _claim_again(session, request, now)
    if row.body_digest != request.digest:
        raise IdempotencyKeyReused("was used for another request: use a new one", field="Idempotency-Key")
    if row.status is not None:
        return StoredAnswer(status=row.status, headers=row.headers, body=row.body or b"")
    if row.created_at > now - IN_PROGRESS_S:
        raise RequestInProgress("another request with this key is in progress")
    return _claim_again(session, request, now)


def finish(session: Session, claimed: Claim, answer: StoredAnswer) -> None:
    """Store the answer; call it in the transaction of the change.

    Raises RequestInProgress when a repetition has claimed the request meanwhile: then the change must not be made.
    """
    waiting = _is_claimed_by(claimed), IdempotencyKeyRow.status.is_(None)
    if not _count(session.execute(update(IdempotencyKeyRow).where(*waiting).values(**_values(answer)))):
        raise RequestInProgress("another request with this key has taken over")


def complete(session: Session, claimed: Claim, answer: StoredAnswer) -> None:
    """Store the answer as it was sent, unless a repetition has claimed the request meanwhile."""
    session.execute(update(IdempotencyKeyRow).where(_is_claimed_by(claimed)).values(**_values(answer)))


def release(session: Session, claimed: Claim) -> None:
    """Forget a request that made no change; one that has an answer stays."""
    waiting = _is_claimed_by(claimed), IdempotencyKeyRow.status.is_(None)
    session.execute(delete(IdempotencyKeyRow).where(*waiting))


def purge(session: Session, now: float, *, limit: int = PURGE_ROWS) -> int:
    """Delete what is not answered any more, at most `limit` rows; returns how many it deleted."""
    place = IdempotencyKeyRow.owner, IdempotencyKeyRow.key
    expired = (
        select(*place)
        .where(IdempotencyKeyRow.created_at < now - KEPT_S)
        .order_by(IdempotencyKeyRow.created_at)
        .limit(limit)
    )
    return _count(session.execute(delete(IdempotencyKeyRow).where(tuple_(*place).in_(expired))))


def _claim_again(session: Session, request: KeyedRequest, now: float) -> Claim:
    session.execute(update(IdempotencyKeyRow).where(_is_of(request)).values(**_fresh(request, now)))
    return Claim(request, now)


def _fresh(request: KeyedRequest, now: float) -> dict[str, Any]:
    return {
        "owner": request.owner,
        "key": request.key,
        "body_digest": request.digest,
        "status": None,
        "headers": {},
        "body": None,
        "created_at": now,
    }


def _values(answer: StoredAnswer) -> dict[str, Any]:
    return {"status": answer.status, "headers": dict(answer.headers), "body": answer.body}


def _is_of(request: KeyedRequest) -> ColumnElement[bool]:
    return (IdempotencyKeyRow.owner == request.owner) & (IdempotencyKeyRow.key == request.key)


def _is_claimed_by(claimed: Claim) -> ColumnElement[bool]:
    return _is_of(claimed.request) & (IdempotencyKeyRow.created_at == claimed.claimed_at)


def _count(result: object) -> int:
    return result.rowcount if isinstance(result, CursorResult) else 0
