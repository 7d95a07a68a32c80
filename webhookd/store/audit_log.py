"""The audit log: one row for every change, written in the transaction of the change.

The list is in the order of the time, then of the row. A row is never changed; `purge` deletes the old ones.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import CursorResult, Select, delete, insert, literal, select, tuple_
from sqlalchemy.orm import Session

from webhookd import clock
from webhookd.flow.access.caller import Caller
from webhookd.store.access_tables import AuditLogRow
from webhookd.store.tables import Json

PURGE_ROWS = 5_000
"""Rows deleted by one statement: the documents in a row are a few kilobytes."""

Place = tuple[float, int]
"""Time and id of a row."""

_PLACE = (AuditLogRow.at, AuditLogRow.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What was changed. `before` and `after` are documents without secrets; None where there is none.

    `action` is a verb: create, change, activate, deactivate, delete, rotate, revoke, read, verify. `tenant` is whose
    subject it is, None for the service's.
    """

    action: str
    subject_kind: str
    subject_id: str
    tenant: str | None = None
    before: Json | None = None
    after: Json | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """Which rows are wanted: `equal` has columns and their values; times are in seconds since the epoch."""

    equal: Mapping[str, str] = field(default_factory=dict)
    since: float | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Rows, newest first; `more` says whether another page follows."""

    rows: list[AuditLogRow]
    more: bool


def record(session: Session, caller: Caller, change: Change) -> None:
    """Write the row of a change."""
    who = {"key_id": caller.key_id, "key_name": caller.name, "role": caller.role.value, "address": caller.address}
    session.execute(insert(AuditLogRow), [{"at": clock.wall_clock(), **who, **asdict(change)}])


def page(session: Session, wanted: Criteria, *, after: Place | None = None, limit: int) -> Page:
    """The rows that meet the criteria and come after a place, newest first."""
    rows = session.scalars(page_query(wanted, after=after, limit=limit + 1)).all()
    return Page(list(rows[:limit]), len(rows) > limit)


def page_query(wanted: Criteria, *, after: Place | None, limit: int) -> Select[AuditLogRow]:
    """The statement of a page."""
    query = select(AuditLogRow).filter_by(**wanted.equal)
    if wanted.since is not None:
        query = query.where(AuditLogRow.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(AuditLogRow.at < wanted.until)
    if after is not None:
        query = query.where(tuple_(*_PLACE) < tuple_(*(literal(part) for part in after)))
    return query.order_by(AuditLogRow.at.desc(), AuditLogRow.id.desc()).limit(limit)


def purge(session: Session, older_than: float, *, limit: int = PURGE_ROWS) -> int:
    """Delete what was written before `older_than`, at most `limit` rows; returns how many it deleted."""
    expired = select(AuditLogRow.id).where(AuditLogRow.at < older_than).order_by(AuditLogRow.at).limit(limit)
    result: Any = session.execute(delete(AuditLogRow).where(AuditLogRow.id.in_(expired)))
    return result.rowcount if isinstance(result, CursorResult) else 0
