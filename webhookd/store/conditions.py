"""How subscriptions are doing, as ingest last wrote it. Every function works inside the caller's transaction."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from webhookd.flow.condition import Condition, Health, LostRange, TopicCondition
from webhookd.flow.delivery_status import DeliveryState, DeliveryStatus, FailedAttempt
from webhookd.flow.problem import Problem
from webhookd.store.dialects import upsert
from webhookd.store.subscriptions import hold
from webhookd.store.tables import ConditionRow


def write(session: Session, conditions: Sequence[Condition]) -> None:
    """Overwrite these conditions; those of deleted subscriptions are left out."""
    existing = hold(session, [condition.subscription_id for condition in conditions])
    latest = {condition.subscription_id: condition for condition in conditions if condition.subscription_id in existing}
    if latest:
        # In one order, so that two writers wait for each other and never in a circle.
        rows = [_to_row(latest[id_]) for id_ in sorted(latest)]
        upsert(session, ConditionRow, rows, keys=["subscription_id"])


def read(session: Session, subscription_id: str) -> Condition | None:
    """The subscription's condition; None as long as ingest has not written one."""
    return read_all(session, [subscription_id]).get(subscription_id)


def read_all(session: Session, ids: Sequence[str]) -> dict[str, Condition]:
    """The conditions of these subscriptions, as far as ingest has written them."""
    rows = session.scalars(select(ConditionRow).where(ConditionRow.subscription_id.in_(ids)))
    return {row.subscription_id: _from_row(row) for row in rows}


def _from_row(row: ConditionRow) -> Condition:
    return Condition(
        subscription_id=row.subscription_id,
        health=Health(row.health),
        reason=row.reason,
        since=row.since,
        failing_since=row.failing_since,
        last_failure=row.last_failure,
        delivery=_delivery(row.delivery),
        lag=row.lag,
        problems=tuple(Problem(**item) for item in row.problems),
        lost_ranges=tuple(LostRange(**item) for item in row.lost_ranges),
        topics=tuple(TopicCondition(topic=item["topic"], partitions=item["partitions"]) for item in row.topics),
        delivered=row.delivered,
        filtered=row.filtered,
        filter_errors=row.filter_errors,
        last_filter_error=row.last_filter_error,
        dead_lettered=row.dead_lettered,
        version=row.version,
        proven=row.proven,
    )


def _delivery(document: dict[str, Any]) -> DeliveryStatus | None:
    if not document:
        return None
    failure = document["last_failure"]
    known = document | {
        "state": DeliveryState(document["state"]),
        "last_failure": FailedAttempt(**failure) if failure else None,
    }
    return DeliveryStatus(**known)


def _to_row(condition: Condition) -> dict[str, Any]:
    return {
        "subscription_id": condition.subscription_id,
        "health": condition.health.value,
        "reason": condition.reason,
        "since": condition.since,
        "failing_since": condition.failing_since,
        "last_failure": condition.last_failure,
        "delivery": asdict(condition.delivery) if condition.delivery else {},
        "delivery_state": condition.delivery.state.value if condition.delivery else "",
        "lag": condition.lag,
        "problems": [asdict(item) for item in condition.problems],
        "lost_ranges": [asdict(item) for item in condition.lost_ranges],
        "topics": [{"topic": item.topic, "partitions": item.partitions} for item in condition.topics],
        "delivered": condition.delivered,
        "filtered": condition.filtered,
        "filter_errors": condition.filter_errors,
        "last_filter_error": condition.last_filter_error,
        "dead_lettered": condition.dead_lettered,
        "version": condition.version,
        "proven": condition.proven,
    }
