"""The row that says whether webhookd is offline or online. Every function works inside the caller's transaction."""

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from webhookd.flow.control.administration import OFFLINE_REASON, ONLINE, Administration, Availability
from webhookd.flow.status.activity import Event
from webhookd.store import activity
from webhookd.store.dialects import DatabaseNow, insert_new
from webhookd.store.tables import AdministrationRow

ROW = 1
"""There is one row; the first change inserts it."""


def read(session: Session, *, lock: bool = False) -> Administration:
    """Return whether webhookd is online; with `lock` the state cannot change before this transaction ends."""
    age_s = (DatabaseNow() - AdministrationRow.changed_at).label("age_s")
    query = select(AdministrationRow.status, AdministrationRow.offline_message, age_s)
    query = query.where(AdministrationRow.id == ROW)
    row = session.execute(query.with_for_update(read=True) if lock else query).first()
    if row is None:
        return ONLINE
    return Administration(status=_status_of(row.status), offline_message=row.offline_message, age_s=row.age_s)


def switch(session: Session, status: Availability, offline_message: str) -> Administration:
    """Go offline or online, and add that to every subscription's activity; without a change, only store the message.

    Returns the state before.
    """
    now = session.scalar(select(DatabaseNow())) or 0.0
    first = {"id": ROW, "status": Availability.ONLINE.value, "offline_message": "", "changed_at": now}
    insert_new(session, AdministrationRow, [first])
    columns = AdministrationRow.status, AdministrationRow.offline_message
    row = session.execute(select(*columns).where(AdministrationRow.id == ROW).with_for_update()).one()
    before = Administration(status=_status_of(row.status), offline_message=row.offline_message)
    values: dict[str, str | float] = {"status": status.value, "offline_message": offline_message}
    if before.status != status:
        values["changed_at"] = now
        _record(session, status, offline_message)
    session.execute(update(AdministrationRow).where(AdministrationRow.id == ROW).values(**values))
    return before


def _status_of(text: str) -> Availability:
    # A value that the API did not write must not stop every subscription.
    return Availability.OFFLINE if text == Availability.OFFLINE else Availability.ONLINE


def _record(session: Session, status: Availability, offline_message: str) -> None:
    if status is Availability.OFFLINE:
        activity.append_to_all(session, Event.INACTIVE, reason=OFFLINE_REASON, detail=offline_message)
    else:
        activity.append_to_all(session, Event.ACTIVE, active_only=True)
