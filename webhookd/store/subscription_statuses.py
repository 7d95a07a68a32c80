"""Statuses of subscriptions, as ingest last wrote them. Every function works inside the caller's transaction."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from webhookd.flow.status.delivery_status import DeliveryState, DeliveryStatus, FailedAttempt
from webhookd.flow.status.endpoint_certificate import EndpointCertificate
from webhookd.flow.status.problem import Problem
from webhookd.flow.status.subscription_status import Health, LostRange, SubscriptionStatus, TopicStatus
from webhookd.store.dialects import upsert
from webhookd.store.subscriptions import lock_existing
from webhookd.store.tables import SubscriptionStatusRow


def write(session: Session, statuses: Sequence[SubscriptionStatus]) -> None:
    """Overwrite these statuses; those of deleted subscriptions are left out."""
    existing = lock_existing(session, [status.subscription_id for status in statuses])
    latest = {status.subscription_id: status for status in statuses if status.subscription_id in existing}
    if latest:
        # Always in the same order, so that two writers cannot deadlock.
        rows = [_to_row(latest[id_]) for id_ in sorted(latest)]
        upsert(session, SubscriptionStatusRow, rows, keys=["subscription_id"])


def read(session: Session, subscription_id: str) -> SubscriptionStatus | None:
    """The subscription's status; None as long as ingest has not written one."""
    return read_all(session, [subscription_id]).get(subscription_id)


def read_all(session: Session, ids: Sequence[str]) -> dict[str, SubscriptionStatus]:
    """The statuses of these subscriptions, as far as ingest has written them."""
    rows = session.scalars(select(SubscriptionStatusRow).where(SubscriptionStatusRow.subscription_id.in_(ids)))
    return {row.subscription_id: _from_row(row) for row in rows}


def _from_row(row: SubscriptionStatusRow) -> SubscriptionStatus:
    return SubscriptionStatus(
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
        topics=tuple(TopicStatus(topic=item["topic"], partitions=item["partitions"]) for item in row.topics),
        delivered=row.delivered,
        filtered=row.filtered,
        denied=row.denied,
        filter_errors=row.filter_errors,
        last_filter_error=row.last_filter_error,
        dead_lettered=row.dead_lettered,
        version=row.version,
        version_delivered=row.version_delivered,
        endpoint_certificate=EndpointCertificate(**row.endpoint_certificate) if row.endpoint_certificate else None,
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


def _to_row(status: SubscriptionStatus) -> dict[str, Any]:
    return {
        "subscription_id": status.subscription_id,
        "health": status.health.value,
        "reason": status.reason,
        "since": status.since,
        "failing_since": status.failing_since,
        "last_failure": status.last_failure,
        "delivery": asdict(status.delivery) if status.delivery else {},
        "delivery_state": status.delivery.state.value if status.delivery else "",
        "lag": status.lag,
        "problems": [asdict(item) for item in status.problems],
        "lost_ranges": [asdict(item) for item in status.lost_ranges],
        "topics": [{"topic": item.topic, "partitions": item.partitions} for item in status.topics],
        "delivered": status.delivered,
        "filtered": status.filtered,
        "denied": status.denied,
        "filter_errors": status.filter_errors,
        "last_filter_error": status.last_filter_error,
        "dead_lettered": status.dead_lettered,
        "version": status.version,
        "version_delivered": status.version_delivered,
        "endpoint_certificate": asdict(status.endpoint_certificate) if status.endpoint_certificate else {},
    }
