"""The spells of failure that people were told of. Every function works inside the caller's transaction.

What is read here is locked until the transaction ends, so that of several processes one decides at a time.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict

from sqlalchemy import ColumnElement, and_, delete, or_, select
from sqlalchemy.orm import Session

from webhookd.flow.spell import CALM_S, UNKNOWN_S, Spell
from webhookd.store.dialects import insert_if_new, upsert
from webhookd.store.tables import SpellRow

DUE_KEYS = 100


def lock(session: Session, keys: Iterable[str]) -> dict[str, Spell]:
    """The spells of these keys, as far as there are any."""
    return _locked(session, SpellRow.subject_key.in_(sorted(set(keys))))


def lock_prefix(session: Session, prefix: str) -> dict[str, Spell]:
    """The spells whose keys begin so."""
    return _locked(session, SpellRow.subject_key.startswith(prefix, autoescape=True))


def due(session: Session, now: float, limit: int = DUE_KEYS) -> list[str]:
    """Keys of the spells to look at because time has passed: somebody may be reminded, or it is long over."""
    lasting = and_(SpellRow.ended_at == 0, SpellRow.speak_at <= now)
    over = and_(SpellRow.ended_at > 0, ~SpellRow.told, SpellRow.ended_at <= now - CALM_S)
    forgotten = and_(SpellRow.ended_at > 0, SpellRow.told, SpellRow.ended_at <= now - UNKNOWN_S)
    query = select(SpellRow.subject_key).where(or_(lasting, over, forgotten)).order_by(SpellRow.speak_at).limit(limit)
    return list(session.scalars(query))


def save(session: Session, before: Mapping[str, Spell], after: Mapping[str, Spell | None]) -> set[str]:
    """Write what became of the spells, None for none; answers the keys that another process was quicker with.

    `before` are those that were locked. Of two processes that begin the same spell, one does.
    """
    late = set()
    for key in sorted(after):
        spell = after[key]
        if spell == before.get(key):
            continue
        if spell is None:
            session.execute(delete(SpellRow).where(SpellRow.subject_key == key))
        elif key in before:
            upsert(session, SpellRow, [{"subject_key": key, **asdict(spell)}], keys=["subject_key"])
        elif not insert_if_new(session, SpellRow, {"subject_key": key, **asdict(spell)}):
            late.add(key)
    return late


def _locked(session: Session, which: ColumnElement[bool]) -> dict[str, Spell]:
    rows = session.scalars(select(SpellRow).where(which).order_by(SpellRow.subject_key).with_for_update())
    return {
        row.subject_key: Spell(
            began_at=row.began_at,
            ended_at=row.ended_at,
            told=row.told,
            mails=row.mails,
            speak_at=row.speak_at,
            untold_ranges=row.untold_ranges,
            untold_records=row.untold_records,
        )
        for row in rows
    }
