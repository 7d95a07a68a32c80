"""The live ingest processes, by their heartbeats and the database's clock.

Every function works inside the caller's transaction.
"""

from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from webhookd.flow.control.membership import Member, participants
from webhookd.store.dialects import DatabaseNow, upsert
from webhookd.store.tables import IngestMemberRow

FORGET_S = 86400.0
"""A member without a heartbeat for this long was killed; its row is deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unconfirmed:
    """A process that has not confirmed a version of the policies.

    `policy_version` is the one that it has confirmed last, `silent_s` the age of its heartbeat.
    """

    id: str
    policy_version: int
    silent_s: float


def heartbeat(session: Session, member: Member, policy_version: int = 0) -> None:
    """Store the heartbeat of this process, and whether it takes part in the division of the subscriptions.

    `policy_version` is the version of the policies that it confirms (flow/settlement/policy_confirmation.py).
    """
    now = session.scalar(select(DatabaseNow()))
    row = {
        "id": member.id,
        "heartbeat_at": now,
        "reads_kafka": member.takes_part,
        "kafka_reachable_s": member.reachable_s,
        "policy_version": policy_version,
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


def unconfirmed(session: Session, version: int, silent_s: float) -> list[Unconfirmed]:
    """The processes that have not confirmed a version of the policies, without those that are silent for longer.

    A process without a heartbeat may have ended, or it may go on without the database.
    """
    age_s = (DatabaseNow() - IngestMemberRow.heartbeat_at).label("age_s")
    query = select(IngestMemberRow.id, IngestMemberRow.policy_version, age_s).order_by(IngestMemberRow.id)
    waiting = IngestMemberRow.policy_version < version, IngestMemberRow.heartbeat_at >= DatabaseNow() - silent_s
    return [
        Unconfirmed(id=row.id, policy_version=row.policy_version, silent_s=max(0.0, row.age_s))
        for row in session.execute(query.where(*waiting))
    ]


def leave(session: Session, member_id: str) -> None:
    """Delete the row of this process, so that the others need not wait for the timeout."""
    session.execute(delete(IngestMemberRow).where(IngestMemberRow.id == member_id))


def delete_expired(session: Session) -> None:
    """Delete the rows of processes that were killed long ago."""
    session.execute(delete(IngestMemberRow).where(IngestMemberRow.heartbeat_at < DatabaseNow() - FORGET_S))
