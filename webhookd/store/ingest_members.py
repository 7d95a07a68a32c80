"""The live ingest processes, by their heartbeats and the database's clock.

Every function works inside the caller's transaction.
"""

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from webhookd.flow.control.membership import Member, participants
from webhookd.store.dialects import DatabaseNow, upsert
from webhookd.store.tables import IngestMemberRow

FORGET_S = 86400.0
"""A member without a heartbeat for this long was killed; its row is deleted."""


def heartbeat(session: Session, member: Member) -> None:
    """Store the heartbeat of this process, and whether it takes part in the division of the subscriptions."""
    now = session.scalar(select(DatabaseNow()))
    row = {
        "id": member.id,
        "heartbeat_at": now,
        "reads_kafka": member.takes_part,
        "kafka_reachable_s": member.reachable_s,
    }
    upsert(session, IngestMemberRow, [row], keys=["id"])


def present(session: Session, timeout_s: float) -> list[Member]:
    """The processes with a heartbeat within the timeout, as of that heartbeat."""
    query = select(IngestMemberRow.id, IngestMemberRow.reads_kafka, IngestMemberRow.kafka_reachable_s).order_by(
        IngestMemberRow.id
    )
    rows = session.execute(query.where(IngestMemberRow.heartbeat_at >= DatabaseNow() - timeout_s))
    return [Member(id=row.id, takes_part=row.reads_kafka, reachable_s=row.kafka_reachable_s) for row in rows]


def alive(session: Session, timeout_s: float) -> list[str]:
    """The ids of the processes with a heartbeat within the timeout, in the same order for every caller."""
    return [member.id for member in present(session, timeout_s)]


def sharing(session: Session, timeout_s: float) -> list[str]:
    """The ids of the processes among which the subscriptions are divided."""
    return participants(present(session, timeout_s))


def leave(session: Session, member_id: str) -> None:
    """Delete the row of this process, so that the others need not wait for the timeout."""
    session.execute(delete(IngestMemberRow).where(IngestMemberRow.id == member_id))


def delete_expired(session: Session) -> None:
    """Delete the rows of processes that were killed long ago."""
    session.execute(delete(IngestMemberRow).where(IngestMemberRow.heartbeat_at < DatabaseNow() - FORGET_S))
