"""Incidents in the database. Every function works inside the caller's transaction.

Incidents that `lock` and `lock_prefix` return are locked until the transaction ends, so that only one process at a time
decides about them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict

from sqlalchemy import ColumnElement, and_, delete, or_, select
from sqlalchemy.orm import Session

from webhookd.flow.alerting.incident import FLAP_WINDOW_S, FORGET_UNKNOWN_AFTER_S, Incident
from webhookd.store.dialects import insert_if_new, upsert
from webhookd.store.tables import IncidentRow

DUE_KEYS = 100

LARGEST = "9" * 15
"""No number in a key is larger: the last second of the year 9999 has 12 digits."""


def lock(session: Session, keys: Iterable[str]) -> dict[str, Incident]:
    """Lock and return the incidents with these keys, as far as they exist."""
    return _locked(session, IncidentRow.subject_key.in_(sorted(set(keys))))


def lock_prefix(session: Session, prefix: str) -> dict[str, Incident]:
    """Lock and return the incidents whose keys begin with the prefix."""
    return _locked(session, IncidentRow.subject_key.startswith(prefix, autoescape=True))


def due(session: Session, now: float, limit: int = DUE_KEYS) -> list[str]:
    """Return the keys of incidents to check because time has passed: a reminder may be due, or the incident is over."""
    lasting = and_(IncidentRow.ended_at == 0, IncidentRow.next_mail_at <= now)
    over = and_(IncidentRow.ended_at > 0, ~IncidentRow.owner_notified, IncidentRow.ended_at <= now - FLAP_WINDOW_S)
    forgotten = and_(
        IncidentRow.ended_at > 0, IncidentRow.owner_notified, IncidentRow.ended_at <= now - FORGET_UNKNOWN_AFTER_S
    )
    query = (
        select(IncidentRow.subject_key)
        .where(or_(lasting, over, forgotten))
        .order_by(IncidentRow.next_mail_at)
        .limit(limit)
    )
    return list(session.scalars(query))


def missing(session: Session, keys: Iterable[str]) -> set[str]:
    """Return those of these keys of which there is no incident. It locks none of those that exist."""
    wanted = sorted(set(keys))
    found = session.scalars(select(IncidentRow.subject_key).where(IncidentRow.subject_key.in_(wanted)))
    return set(wanted).difference(found)


def numbered(session: Session, prefixes: Iterable[str]) -> list[str]:
    """Return the keys of incidents that are one of these prefixes with a number after it; it locks none.

    The keys are a range of the index in every collation, where those with any text after a prefix need not be.
    """
    ranges = [IncidentRow.subject_key.between(f"{prefix}0", f"{prefix}{LARGEST}") for prefix in sorted(set(prefixes))]
    return list(session.scalars(select(IncidentRow.subject_key).where(or_(*ranges)))) if ranges else []


def save(session: Session, before: Mapping[str, Incident], after: Mapping[str, Incident | None]) -> set[str]:
    """Store the incidents, delete where `after` is None; returns the keys that another process inserted first.

    `before` holds the locked incidents. If two processes begin the same incident, only one succeeds.
    """
    late = set()
    for key in sorted(after):
        incident = after[key]
        if incident == before.get(key):
            continue
        if incident is None:
            session.execute(delete(IncidentRow).where(IncidentRow.subject_key == key))
        elif key in before:
            upsert(session, IncidentRow, [{"subject_key": key, **asdict(incident)}], keys=["subject_key"])
        elif not insert_if_new(session, IncidentRow, {"subject_key": key, **asdict(incident)}):
            late.add(key)
    return late


def _locked(session: Session, which: ColumnElement[bool]) -> dict[str, Incident]:
    rows = session.scalars(select(IncidentRow).where(which).order_by(IncidentRow.subject_key).with_for_update())
    return {
        row.subject_key: Incident(
            began_at=row.began_at,
            ended_at=row.ended_at,
            owner_notified=row.owner_notified,
            mails=row.mails,
            next_mail_at=row.next_mail_at,
            unreported_ranges=row.unreported_ranges,
            unreported_records=row.unreported_records,
        )
        for row in rows
    }
