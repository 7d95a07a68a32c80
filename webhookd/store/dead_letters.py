"""Dead letters in the database. Every function works inside the caller's transaction."""

from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, CursorResult, delete, func, literal, select, tuple_
from sqlalchemy.orm import Session

from webhookd import clock
from webhookd.flow.access.caller import DEFAULT_TENANT
from webhookd.flow.dead_letter import DeadLetter
from webhookd.flow.offsets.position import Partition
from webhookd.store.dialects import insert_new
from webhookd.store.tables import DeadLetterRow

PURGE_ROWS = 2_000
"""Rows deleted by one statement: a dead letter may be a megabyte."""

PAGE_BYTES = 8 * 1024 * 1024
"""A page ends when it reaches this size, but it holds at least one dead letter."""

Place = tuple[str, int, int]
"""Topic, partition and offset."""

_PLACE = (DeadLetterRow.topic, DeadLetterRow.partition, DeadLetterRow.offset)


@dataclass(frozen=True, slots=True)
class StoredDeadLetter:
    """A dead letter, and when its row was written (seconds since the epoch)."""

    dead_letter: DeadLetter
    stored_at: float


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a subscription's dead letters; `more` says whether another page follows."""

    dead_letters: list[StoredDeadLetter]
    more: bool


def append(session: Session, dead_letters: Sequence[DeadLetter], tenant: str = DEFAULT_TENANT) -> None:
    """Store these dead letters of a tenant; a row with the same subscription and position stays as it is."""
    if dead_letters:
        more = {"stored_at": clock.wall_clock(), "tenant": tenant}
        insert_new(session, DeadLetterRow, [_to_row(dead_letter) | more for dead_letter in dead_letters])


def count(session: Session, subscription_id: str) -> int:
    """How many dead letters of the subscription are stored."""
    query = select(func.count()).select_from(DeadLetterRow).where(DeadLetterRow.subscription_id == subscription_id)
    return session.scalar(query) or 0


def free_rows(session: Session, subscription_id: str, limit: int) -> int:
    """Return how many more dead letters of the subscription may be stored; stops counting rows at the limit."""
    return _free(session, DeadLetterRow.subscription_id == subscription_id, limit)


def free_rows_of_tenant(session: Session, tenant: str, limit: int) -> int:
    """Return how many more dead letters of the tenant may be stored; stops counting rows at the limit."""
    return _free(session, DeadLetterRow.tenant == tenant, limit)


def not_stored(session: Session, dead_letters: Sequence[DeadLetter]) -> list[DeadLetter]:
    """Return which of these dead letters, all of one subscription, are not stored yet."""
    places = [
        (dead_letter.partition.topic, dead_letter.partition.number, dead_letter.offset) for dead_letter in dead_letters
    ]
    query = select(*_PLACE).where(
        DeadLetterRow.subscription_id == dead_letters[0].subscription_id, tuple_(*_PLACE).in_(places)
    )
    kept = {tuple(row) for row in session.execute(query)}
    return [dead_letter for dead_letter, at in zip(dead_letters, places, strict=True) if at not in kept]


def page(session: Session, subscription_id: str, *, after: Place | None, limit: int) -> Page:
    """The dead letters of a subscription after a position, ordered by topic, partition and offset."""
    size = func.coalesce(func.length(DeadLetterRow.value), 0) + func.coalesce(func.length(DeadLetterRow.key), 0)
    sizes = select(*_PLACE, size).where(DeadLetterRow.subscription_id == subscription_id)
    if after is not None:
        sizes = sizes.where(tuple_(*_PLACE) > tuple_(*(literal(part) for part in after)))
    found = session.execute(sizes.order_by(*_PLACE).limit(limit + 1)).all()
    places: list[Place] = []
    total = 0
    for topic, partition, offset, row_bytes in found[:limit]:
        total += row_bytes
        if places and total > PAGE_BYTES:
            break
        places.append((topic, partition, offset))
    rows = session.scalars(
        select(DeadLetterRow)
        .where(DeadLetterRow.subscription_id == subscription_id, tuple_(*_PLACE).in_(places))
        .order_by(*_PLACE)
    )
    return Page([_from_row(row) for row in rows], len(places) < len(found))


def delete_some(
    session: Session, subscription_id: str, older_than: float | None = None, *, limit: int = PURGE_ROWS
) -> int:
    """Delete dead letters of a subscription: all, or those stored before `older_than`; at most `limit` rows."""
    which = select(*_PLACE).where(DeadLetterRow.subscription_id == subscription_id)
    if older_than is not None:
        which = which.where(DeadLetterRow.stored_at < older_than)
    # Two statements: a tenant's condition does not reach the same table in a subquery (tenant_scope.py).
    places = [tuple(row) for row in session.execute(which.limit(limit))]
    expired = DeadLetterRow.subscription_id == subscription_id, tuple_(*_PLACE).in_(places)
    result = session.execute(delete(DeadLetterRow).where(*expired))
    return result.rowcount if isinstance(result, CursorResult) else 0


def purge(session: Session, older_than: float, *, limit: int = PURGE_ROWS) -> int:
    """Delete what was stored before `older_than`, at most `limit` rows; returns how many it deleted."""
    columns = (DeadLetterRow.subscription_id, *_PLACE)
    expired = (
        select(*columns).where(DeadLetterRow.stored_at < older_than).order_by(DeadLetterRow.stored_at).limit(limit)
    )
    result = session.execute(delete(DeadLetterRow).where(tuple_(*columns).in_(expired)))
    return result.rowcount if isinstance(result, CursorResult) else 0


def _free(session: Session, which: ColumnElement[bool], limit: int) -> int:
    kept = select(DeadLetterRow.offset).where(which).limit(limit)
    return limit - (session.scalar(select(func.count()).select_from(kept.subquery())) or 0)


def _to_row(dead_letter: DeadLetter) -> dict[str, Any]:
    return {
        "subscription_id": dead_letter.subscription_id,
        "topic": dead_letter.partition.topic,
        "partition": dead_letter.partition.number,
        "offset": dead_letter.offset,
        "timestamp_ms": dead_letter.timestamp_ms,
        "key": dead_letter.key,
        "value": dead_letter.value,
        "headers": [
            [name, None if value is None else b64encode(value).decode()] for name, value in dead_letter.headers
        ],
        "cause": dead_letter.cause,
        "detail": dead_letter.detail,
        "status": dead_letter.status,
        "attempts": dead_letter.attempts,
    }


def _from_row(row: DeadLetterRow) -> StoredDeadLetter:
    dead_letter = DeadLetter(
        subscription_id=row.subscription_id,
        partition=Partition(row.topic, row.partition),
        offset=row.offset,
        timestamp_ms=row.timestamp_ms,
        key=row.key,
        value=row.value,
        headers=tuple((name, None if value is None else b64decode(value)) for name, value in row.headers),
        cause=row.cause,
        detail=row.detail,
        status=row.status,
        attempts=row.attempts,
    )
    return StoredDeadLetter(dead_letter, row.stored_at)
