"""How /health shows the switch and the subscriptions by state."""

from dataclasses import asdict
from typing import Any

from api.resources.status.rendering import iso
from webhookd.flow.control.administration import Administration
from webhookd.store.subscription_counts import Counts


def offline(switch: Administration, now: float) -> dict[str, Any]:
    """Since when webhookd is offline, and why."""
    return {"since": iso(now - switch.age_s), "message": switch.offline_message}


def shown(counts: Counts) -> dict[str, Any]:
    """The counts by state; what was not begun with is shown as a fault instead."""
    document = asdict(counts)
    del document["not_started"]
    return document
