"""The live ingest processes, by their heartbeats and the database's clock. Works inside the caller's transaction."""

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from webhookd.flow.control.membership import Member, participants
from webhookd.store.dialects import DatabaseNow, upsert
from webhookd.store.tables import IngestMemberRow

FORGET_S = 86400.0
"""A member silent for so long is only a row that nobody removed: its process was killed."""


def heartbeat(session: Session, member: Member) -> None:
    """Say that this process is alive now, and whether it can read Kafka."""
    now = session.scalar(select(DatabaseNow()))
    row = {"id": member.id, "beat_at": now, "reads": member.takes_part, "contact_s": member.reachable_s}
    upsert(session, IngestMemberRow, [row], keys=["id"])


def present(session: Session, timeout_s: float) -> list[Member]:
    """The processes heard of within the timeout, as they said then."""
    query = select(IngestMemberRow.id, IngestMemberRow.reads, IngestMemberRow.contact_s).order_by(IngestMemberRow.id)
    rows = session.execute(query.where(IngestMemberRow.beat_at >= DatabaseNow() - timeout_s))
    return [Member(id=row.id, takes_part=row.reads, reachable_s=row.contact_s) for row in rows]


def alive(session: Session, timeout_s: float) -> list[str]:
    """The ids of the processes heard of within the timeout, in one order for everyone who asks."""
    return [member.id for member in present(session, timeout_s)]


def sharing(session: Session, timeout_s: float) -> list[str]:
    """The ids of the processes that the subscriptions are divided among."""
    return participants(present(session, timeout_s))


def leave(session: Session, member_id: str) -> None:
    """Say that this process has stopped, so that the others need not wait for the timeout."""
    session.execute(delete(IngestMemberRow).where(IngestMemberRow.id == member_id))


def forget(session: Session) -> None:
    """Remove the rows of processes that were killed long ago."""
    session.execute(delete(IngestMemberRow).where(IngestMemberRow.beat_at < DatabaseNow() - FORGET_S))
