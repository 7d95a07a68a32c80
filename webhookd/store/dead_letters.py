"""Records put aside with their cause. Every function works inside the caller's transaction."""

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

from sqlalchemy import CursorResult, delete, func, select, tuple_
from sqlalchemy.orm import Session

from webhookd import clock
from webhookd.flow.dead_letter import DeadLetter
from webhookd.store.dialects import insert_new
from webhookd.store.tables import DeadLetterRow

PURGE_ROWS = 2_000
"""Deleted in one statement: a dead letter may be a megabyte."""


def append(session: Session, letters: Sequence[DeadLetter]) -> None:
    """Keep these records; one that is already kept (same subscription and position) stays as it is."""
    if letters:
        stored_at = clock.wall_clock()
        insert_new(session, DeadLetterRow, [_to_row(letter, stored_at) for letter in letters])


def count(session: Session, subscription_id: str) -> int:
    """How many records of the subscription were put aside and are still kept."""
    query = select(func.count()).select_from(DeadLetterRow).where(DeadLetterRow.subscription_id == subscription_id)
    return session.scalar(query) or 0


def room(session: Session, subscription_id: str, limit: int) -> int:
    """How many more records of the subscription may be kept; counts no further than the limit."""
    kept = select(DeadLetterRow.offset).where(DeadLetterRow.subscription_id == subscription_id).limit(limit)
    return limit - (session.scalar(select(func.count()).select_from(kept.subquery())) or 0)


def unknown(session: Session, letters: Sequence[DeadLetter]) -> list[DeadLetter]:
    """Those of one subscription's dead letters that are not kept yet."""
    places = [(letter.partition.topic, letter.partition.number, letter.offset) for letter in letters]
    place = (DeadLetterRow.topic, DeadLetterRow.partition, DeadLetterRow.offset)
    query = select(*place).where(
        DeadLetterRow.subscription_id == letters[0].subscription_id, tuple_(*place).in_(places)
    )
    kept = {tuple(row) for row in session.execute(query)}
    return [letter for letter, at in zip(letters, places, strict=True) if at not in kept]


def purge(session: Session, older_than: float, *, limit: int = PURGE_ROWS) -> int:
    """Delete what was put aside before that moment, at most `limit` records at once; answers how many."""
    columns = (DeadLetterRow.subscription_id, DeadLetterRow.topic, DeadLetterRow.partition, DeadLetterRow.offset)
    doomed = select(*columns).where(DeadLetterRow.stored_at < older_than).order_by(DeadLetterRow.stored_at).limit(limit)
    result = session.execute(delete(DeadLetterRow).where(tuple_(*columns).in_(doomed)))
    return result.rowcount if isinstance(result, CursorResult) else 0


def _to_row(letter: DeadLetter, stored_at: float) -> dict[str, Any]:
    return {
        "subscription_id": letter.subscription_id,
        "topic": letter.partition.topic,
        "partition": letter.partition.number,
        "offset": letter.offset,
        "timestamp_ms": letter.timestamp_ms,
        "key": letter.key,
        "value": letter.value,
        "headers": [[name, None if value is None else b64encode(value).decode()] for name, value in letter.headers],
        "cause": letter.cause,
        "detail": letter.detail,
        "status": letter.status,
        "attempts": letter.attempts,
        "stored_at": stored_at,
    }
