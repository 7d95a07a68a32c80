"""Recent activity of subscriptions. Every function works inside the caller's transaction.

Successful calls are routine: `recent` returns at most the newest 20 of them, and `purge` keeps no more than these. So
the successes of a fast subscription neither remove its failures from the list nor fill the disk.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import CursorResult, delete, insert, literal, select, union_all
from sqlalchemy.orm import Session, aliased

from webhookd import clock
from webhookd.flow.status.activity import Activity, Event
from webhookd.store.subscriptions import lock_existing
from webhookd.store.tables import ActivityRow, SubscriptionRow

RECENT = 50
RECENT_ROUTINE = 20
PURGE_ROWS = 20_000
"""Rows deleted in about a quarter of a second, during which SQLite blocks other writers."""


def append(session: Session, activities: Sequence[Activity]) -> None:
    """Add these events; those of deleted subscriptions are left out."""
    existing = lock_existing(session, [activity.subscription_id for activity in activities])
    rows = [_to_row(activity) for activity in activities if activity.subscription_id in existing]
    if rows:
        session.execute(insert(ActivityRow), rows)


def append_to_all(
    session: Session, event: Event, *, reason: str = "", detail: str = "", active_only: bool = False
) -> None:
    """Add one state change to the activity of every subscription, or of the active ones only.

    `detail` is for people.
    """
    change = Activity(subscription_id="", at=clock.wall_clock(), event=event, error=reason, detail=detail)
    columns = {
        name: SubscriptionRow.id if name == "subscription_id" else literal(value, ActivityRow.__table__.c[name].type)
        for name, value in _to_row(change).items()
    }
    chosen = select(*columns.values()).order_by(SubscriptionRow.id)
    if active_only:
        chosen = chosen.where(SubscriptionRow.active)
    # Locked in the order of their ids, as everywhere, so that none is deleted between reading and writing.
    locked = chosen.with_for_update(read=True, key_share=True)
    session.execute(insert(ActivityRow).from_select(list(columns), locked))


def recent(session: Session, subscription_id: str) -> list[Activity]:
    """The newest 50 events, newest first: at most 20 successful calls, the rest failures and state changes."""
    routine = _newest(session, subscription_id, routine=True, limit=RECENT_ROUTINE)
    notable = _newest(session, subscription_id, routine=False, limit=RECENT)
    rows = sorted([*routine, *notable], key=lambda row: (row.at, row.id), reverse=True)
    return [_from_row(row) for row in rows[:RECENT]]


def purge(session: Session, older_than: float, *, limit: int = PURGE_ROWS) -> int:
    """Delete events before `older_than`, and successful calls beyond the newest 20; returns how many.

    It deletes at most `limit` rows, because the database aborts a statement that takes too long. If the result is
    `limit`, there are more rows to purge in further transactions.
    """
    other = aliased(ActivityRow)
    last_shown = (
        select(other.at)
        .where(other.subscription_id == SubscriptionRow.id, other.routine)
        .order_by(other.at.desc())
        .offset(RECENT_ROUTINE - 1)
        .limit(1)
        .scalar_subquery()
    )
    expired = select(ActivityRow.id).where(ActivityRow.at < older_than)
    # Materialised, so that Postgres asks the index once for each subscription, not for each of a million rows. No row
    # may be in both queries: it would count twice against the limit.
    each = select(SubscriptionRow.id, last_shown.label("since")).cte("shown")
    shown = each.prefix_with("MATERIALIZED", dialect="postgresql")
    surplus = (
        select(ActivityRow.id)
        .join(shown, ActivityRow.subscription_id == shown.c.id)
        .where(ActivityRow.routine, ActivityRow.at >= older_than, ActivityRow.at < shown.c.since)
    )
    selected = union_all(expired, surplus).limit(limit).subquery()
    result = session.execute(delete(ActivityRow).where(ActivityRow.id.in_(select(selected.c.id))))
    return result.rowcount if isinstance(result, CursorResult) else 0


def _newest(session: Session, subscription_id: str, *, routine: bool, limit: int) -> Sequence[ActivityRow]:
    query = (
        select(ActivityRow)
        .where(ActivityRow.subscription_id == subscription_id, ActivityRow.routine.is_(routine))
        .order_by(ActivityRow.at.desc(), ActivityRow.id.desc())
        .limit(limit)
    )
    return session.scalars(query).all()


def _to_row(activity: Activity) -> dict[str, Any]:
    return {
        "subscription_id": activity.subscription_id,
        "at": activity.at,
        "event": activity.event.value,
        "succeeded": activity.succeeded,
        "routine": activity.event is Event.API_CALL and activity.succeeded,
        "calls": activity.calls,
        "request": activity.request,
        "request_headers": list(activity.request_headers),
        "response_code": activity.response_code,
        "response_body": activity.response_body,
        "response_headers": list(activity.response_headers),
        "error": activity.error,
        "detail": activity.detail,
    }


def _from_row(row: ActivityRow) -> Activity:
    return Activity(
        subscription_id=row.subscription_id,
        at=row.at,
        event=Event(row.event),
        succeeded=row.succeeded,
        calls=row.calls,
        request=row.request,
        request_headers=tuple(row.request_headers),
        response_code=row.response_code,
        response_body=row.response_body,
        response_headers=tuple(row.response_headers),
        error=row.error,
        detail=row.detail,
    )
