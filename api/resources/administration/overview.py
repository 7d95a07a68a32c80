"""The switch and every subscription on one page, put together inside the caller's transaction."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy.orm import Session

from api.resources.status.rendering import SubscriptionRows, health_of, iso, topics_of
from webhookd.flow.control.administration import Administration
from webhookd.flow.subscription import Subscription
from webhookd.store import administration, subscription_statuses, subscriptions

ID = "1"
"""There is one switch."""

PAGE = 500


def overview(session: Session, now: float) -> dict[str, Any]:
    """The answer at `now`, seconds since the epoch."""
    switch = administration.read(session)
    return {
        "id": ID,
        "kind": "WebhookAdmin",
        "status": switch.status.value,
        "offline_message": switch.offline_message,
        "webhooks": [_webhook(standing, now) for standing in _standings(session, switch)],
    }


def _standings(session: Session, switch: Administration) -> Iterator[SubscriptionRows]:
    after = ""
    while page := subscriptions.summaries(session, after=after, limit=PAGE):
        ids = [outline.id for outline in page]
        loaded = subscriptions.load(session, ids)
        known = subscription_statuses.read_all(session, ids)
        for outline in page:
            yield SubscriptionRows(
                outline=outline,
                usable=isinstance(loaded.get(outline.id), Subscription),
                status=known.get(outline.id),
                administration=switch,
            )
        after = ids[-1]


def _webhook(standing: SubscriptionRows, now: float) -> dict[str, Any]:
    status, _reason = health_of(standing)
    return {
        "id": standing.outline.id,
        "name": standing.outline.name,
        "timestamp": iso(now),
        "status": status,
        "topics": topics_of(standing),
    }
