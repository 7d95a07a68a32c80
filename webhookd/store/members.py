"""The live ingest processes, by their heartbeats and the database's clock. Works inside the caller's transaction."""

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from webhookd.store.dialects import DatabaseNow, upsert
from webhookd.store.tables import MemberRow

FORGET_S = 86400.0
"""A member silent for so long is only a row that nobody removed: its process was killed."""


def beat(session: Session, member_id: str) -> None:
    """Say that this process is alive now."""
    now = session.scalar(select(DatabaseNow()))
    upsert(session, MemberRow, [{"id": member_id, "beat_at": now}], keys=["id"])


def alive(session: Session, timeout_s: float) -> list[str]:
    """The ids of the processes heard of within the timeout, in one order for everyone who asks."""
    query = select(MemberRow.id).where(MemberRow.beat_at >= DatabaseNow() - timeout_s)
    return sorted(session.scalars(query))


def leave(session: Session, member_id: str) -> None:
    """Say that this process has stopped, so that the others need not wait for the timeout."""
    session.execute(delete(MemberRow).where(MemberRow.id == member_id))


def forget(session: Session) -> None:
    """Remove the rows of processes that were killed long ago."""
    session.execute(delete(MemberRow).where(MemberRow.beat_at < DatabaseNow() - FORGET_S))
