"""Consumer groups that are to be deleted from Kafka. Every function works inside the caller's transaction."""

from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from webhookd.store.dialects import DatabaseNow, upsert
from webhookd.store.tables import DroppedGroupRow


@dataclass(frozen=True, slots=True, kw_only=True)
class DroppedGroup:
    """A group that is to be deleted; `age_s` is how long ago its subscription was deleted, by the database's clock."""

    name: str
    age_s: float


def add(session: Session, name: str) -> None:
    """Note a group whose subscription is deleted in this transaction."""
    now = session.scalar(select(DatabaseNow()))
    upsert(session, DroppedGroupRow, [{"name": name, "dropped_at": now}], keys=["name"])


def waiting(session: Session) -> list[DroppedGroup]:
    """The groups that are still to be deleted, the oldest first."""
    age_s = (DatabaseNow() - DroppedGroupRow.dropped_at).label("age_s")
    rows = session.execute(select(DroppedGroupRow.name, age_s).order_by(DroppedGroupRow.dropped_at))
    return [DroppedGroup(name=row.name, age_s=row.age_s) for row in rows]


def remove(session: Session, name: str) -> None:
    """Remove a group that was deleted from Kafka."""
    session.execute(delete(DroppedGroupRow).where(DroppedGroupRow.name == name))
