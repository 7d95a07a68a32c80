"""System faults that ingest processes detect, and their load. Every function works inside the caller's transaction.

Ages are by the database's clock. The rows of a process that died expire after FRESH_S.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from webhookd.flow.monitoring.system_faults import SystemFault
from webhookd.store.dialects import DatabaseNow, upsert
from webhookd.store.tables import FaultRow, IngestLoadRow

FRESH_S = 30.0
"""A row that was not written again for this long belongs to a dead process, and does not count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenFault:
    """A fault, and the ingest process that detects it."""

    fault: SystemFault
    member_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestLoad:
    """Deliveries in flight in a process, and the age of the oldest without a report (seconds, 0 without any).

    `longest_iteration_s` is the longest iteration of the ingest loop in the last minute, in seconds.
    """

    deliveries_in_flight: int
    oldest_unanswered_s: float
    longest_iteration_s: float = 0.0


def report(session: Session, member_id: str, faults: Iterable[SystemFault]) -> None:
    """Store the faults that this process detects now; delete those that it stored before and does not detect now."""
    now = session.scalar(select(DatabaseNow()))
    rows = [
        {"code": f.code, "member_id": member_id, "detail": f.detail, "since": f.since, "seen_at": now} for f in faults
    ]
    codes = [row["code"] for row in rows]
    session.execute(delete(FaultRow).where(FaultRow.member_id == member_id, FaultRow.code.not_in(codes)))
    if rows:
        upsert(session, FaultRow, rows, keys=["code", "member_id"])


def heartbeat(session: Session, member_id: str, ingest_load: IngestLoad) -> None:
    """Store the load of this process."""
    row = {
        "member_id": member_id,
        "deliveries_in_flight": ingest_load.deliveries_in_flight,
        "oldest_unanswered_s": ingest_load.oldest_unanswered_s,
        "longest_iteration_s": ingest_load.longest_iteration_s,
        "seen_at": session.scalar(select(DatabaseNow())),
    }
    upsert(session, IngestLoadRow, [row], keys=["member_id"])


def faults(session: Session) -> list[SeenFault]:
    """Every fault that a live process detects, ordered by code and process."""
    fresh = FaultRow.seen_at >= DatabaseNow() - FRESH_S
    rows = session.scalars(select(FaultRow).where(fresh).order_by(FaultRow.code, FaultRow.member_id))
    return [
        SeenFault(fault=SystemFault(code=row.code, detail=row.detail, since=row.since), member_id=row.member_id)
        for row in rows
    ]


def ingest_load(session: Session) -> IngestLoad | None:
    """The load of all live processes together; None when there is none."""
    fresh = IngestLoadRow.seen_at >= DatabaseNow() - FRESH_S
    rows = session.scalars(select(IngestLoadRow).where(fresh)).all()
    if not rows:
        return None
    return IngestLoad(
        deliveries_in_flight=sum(row.deliveries_in_flight for row in rows),
        oldest_unanswered_s=max(row.oldest_unanswered_s for row in rows),
        longest_iteration_s=max(row.longest_iteration_s for row in rows),
    )


def leave(session: Session, member_id: str) -> None:
    """Delete the rows of this process, which stops."""
    session.execute(delete(FaultRow).where(FaultRow.member_id == member_id))
    session.execute(delete(IngestLoadRow).where(IngestLoadRow.member_id == member_id))


def delete_expired(session: Session) -> None:
    """Delete the rows of dead processes."""
    for table in (FaultRow, IngestLoadRow):
        session.execute(delete(table).where(table.seen_at < DatabaseNow() - 10 * FRESH_S))
