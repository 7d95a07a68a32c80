"""Renders a subscription as lists show it: with its health and lag."""

from typing import Any

from api.resources.status.rendering import INACTIVE, SubscriptionRows, health_of
from api.resources.subscription.wire import render
from webhookd.errors import UnusableSubscription
from webhookd.flow.control.administration import Administration
from webhookd.store.subscription_lists import ListedSubscription


def rows_of(row: ListedSubscription, switch: Administration) -> SubscriptionRows:
    """What decides the health of a subscription in a list."""
    return SubscriptionRows(
        summary=row.summary,
        usable=not isinstance(row.loaded, UnusableSubscription),
        status=row.status,
        administration=switch,
    )


def listed(row: ListedSubscription, switch: Administration) -> dict[str, Any]:
    """Return the subscription as lists show it; of an unusable one what can be read."""
    health, reason = health_of(rows_of(row, switch))
    lag = row.status.lag if row.status and health != INACTIVE else None
    return _document(row) | {"health": health, "reason": reason, "lag": lag}


def _document(row: ListedSubscription) -> dict[str, Any]:
    if isinstance(row.loaded, UnusableSubscription):
        return {"id": row.summary.id, "kind": "Webhook", "tenant": row.summary.tenant, "unusable": str(row.loaded)}
    return render(row.loaded)
