"""Records put aside with their cause. Every function works inside the caller's transaction."""

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from webhookd import clock
from webhookd.flow.dead_letter import DeadLetter
from webhookd.store.dialects import insert_new
from webhookd.store.tables import DeadLetterRow


def append(session: Session, letters: Sequence[DeadLetter]) -> None:
    """Keep these records; one that is already kept (same subscription and position) stays as it is."""
    if letters:
        stored_at = clock.wall_clock()
        insert_new(session, DeadLetterRow, [_to_row(letter, stored_at) for letter in letters])


def count(session: Session, subscription_id: str) -> int:
    """How many records of the subscription were put aside and are still kept."""
    query = select(func.count()).select_from(DeadLetterRow).where(DeadLetterRow.subscription_id == subscription_id)
    return session.scalar(query) or 0


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
