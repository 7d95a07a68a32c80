"""Whether webhookd is online, and the state of every subscription; read inside the caller's transaction."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy.orm import Session

from api.resources.status.rendering import SubscriptionRows, health_of, iso, topics_of
from webhookd.flow.control.administration import Administration
from webhookd.flow.subscription import Subscription
from webhookd.store import administration, subscription_statuses, subscriptions

ID = "1"
"""The id of the one administration resource."""

PAGE = 500


def overview(session: Session, now: float) -> dict[str, Any]:
    """Return the response body; `now` is in seconds since the epoch."""
    switch = administration.read(session)
    return {
        "id": ID,
        "kind": "WebhookAdmin",
        "status": switch.status.value,
        "offline_message": switch.offline_message,
        "webhooks": [_webhook(rows, now) for rows in _rows(session, switch)],
    }


def _rows(session: Session, switch: Administration) -> Iterator[SubscriptionRows]:
    after = ""
    while page := subscriptions.summaries(session, after=after, limit=PAGE):
        ids = [summary.id for summary in page]
        loaded = subscriptions.load(session, ids)
        known = subscription_statuses.read_all(session, ids)
        for summary in page:
            yield SubscriptionRows(
                summary=summary,
                usable=isinstance(loaded.get(summary.id), Subscription),
                status=known.get(summary.id),
                administration=switch,
            )
        after = ids[-1]


def _webhook(rows: SubscriptionRows, now: float) -> dict[str, Any]:
    status, _reason = health_of(rows)
    return {
        "id": rows.summary.id,
        "name": rows.summary.name,
        "timestamp": iso(now),
        "status": status,
        "topics": topics_of(rows),
    }
