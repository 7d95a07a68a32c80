"""When the signing secrets that rotations have replaced cease to sign."""

from collections.abc import Iterator

from sqlalchemy import select
from sqlalchemy.orm import Session

from webhookd.store.tables import Json, SubscriptionRow


def first_expiry(session: Session, now: float) -> float | None:
    """When the first of the replaced signing secrets of all tenants expires; None without any.

    Works inside the caller's transaction. It visits every subscription.
    """
    signing = SubscriptionRow.destination["signing"]
    rotating = select(signing).where(signing[1]["expires_at"].is_not(None))  # the current secret is the first one
    times = (at for secrets in session.scalars(rotating) for at in _expiries(secrets))
    return min((at for at in times if at > now), default=None)


def _expiries(secrets: Json) -> Iterator[float]:
    """The times in a document of secrets; a damaged one has none."""
    for secret in secrets if isinstance(secrets, list) else []:
        at = secret.get("expires_at") if isinstance(secret, dict) else None
        if isinstance(at, (int, float)):
            yield at
