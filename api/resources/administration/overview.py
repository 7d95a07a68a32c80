"""Whether webhookd is online, and a page of the state of every subscription; read inside the caller's transaction."""

from collections.abc import Mapping
from typing import Any, Final

from flask import url_for
from sqlalchemy.orm import Session

from api.extensions import cursors
from api.extensions.cursors import Read
from api.extensions.pages import next_page
from api.resources.status.rendering import SubscriptionRows, health_of, iso, topics_of
from api.resources.subscription.listing import rows_of
from webhookd.store import administration, subscription_lists
from webhookd.store.subscription_lists import Order, Page, PageRequest

ID = "1"
"""The id of the one administration resource."""

PAGE: Final = 1000
"""The subscriptions of a page: about 150 kB."""

LIST: Final = cursors.digest(Order(), {"list": "webhooks"})


def overview(session: Session, now: float, page: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the response body and its headers; `now` is in seconds since the epoch. Three statements."""
    switch = administration.read(session)
    cursor: Read | None = page["cursor"]
    after = cursors.place_of(cursor, LIST, Order()) if cursor else None
    found = subscription_lists.page(session, PageRequest(after=after, limit=page["limit"]), switch)
    body = {
        "id": ID,
        "kind": "WebhookAdmin",
        "status": switch.status.value,
        "offline_message": switch.offline_message,
        "webhooks": [_webhook(rows_of(row, switch), now) for row in found.rows],
    }
    return body, _link(found, page["limit"])


def _link(found: Page, limit: int) -> dict[str, str]:
    if not found.more or not found.rows:
        return {}
    cursor = cursors.written(LIST, found.rows[-1].place)
    return next_page(url_for("administration.Administration", cursor=cursor, limit=limit))


def _webhook(rows: SubscriptionRows, now: float) -> dict[str, Any]:
    status, _reason = health_of(rows)
    return {
        "id": rows.summary.id,
        "name": rows.summary.name,
        "timestamp": iso(now),
        "status": status,
        "topics": topics_of(rows),
    }
