"""What expires next. Every function works inside the caller's transaction, and sees all tenants."""

from collections.abc import Iterator

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from webhookd.store.access_tables import ApiKeyRow
from webhookd.store.tables import Json, SubscriptionRow


def first_api_key(session: Session, now: float) -> float | None:
    """When the first of the valid API keys expires; None if none does.

    Keys that a rotation has replaced are left out: they are to expire.
    """
    return session.scalar(
        select(func.min(ApiKeyRow.expires_at)).where(
            ApiKeyRow.expires_at > now, ApiKeyRow.revoked_at.is_(None), ApiKeyRow.successor_id.is_(None)
        )
    )


def first_signing_secret(session: Session, now: float) -> float | None:
    """When the first of the signing secrets that a rotation has replaced ceases to sign; None without any."""
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
