"""The parts of /health about the offline state and the subscriptions by state."""

from dataclasses import asdict
from typing import Any

from api.resources.status.rendering import iso
from webhookd.flow.control.administration import Administration
from webhookd.store.subscription_counts import Counts


def offline(switch: Administration, now: float) -> dict[str, Any]:
    """Return since when webhookd is offline, and why."""
    return {"since": iso(now - switch.age_s), "message": switch.offline_message}


def shown(counts: Counts) -> dict[str, Any]:
    """Return the counts by state. `not_started` is left out: it is shown as a fault (subscriptions_not_started)."""
    document = asdict(counts)
    del document["not_started"]
    return document
