"""Whose a subscription is, also when its row cannot be used or is deleted. It works inside the caller's transaction."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from webhookd.store.tables import DeadLetterRow, SubscriptionRow


def tenant_of(session: Session, subscription_id: str) -> str | None:
    """The tenant of a subscription, or of the dead letters that are left of it; None when nothing is."""
    owner = session.scalar(select(SubscriptionRow.tenant).where(SubscriptionRow.id == subscription_id))
    if owner is not None:
        return owner
    left = select(DeadLetterRow.tenant).where(DeadLetterRow.subscription_id == subscription_id)
    return session.scalar(left.limit(1))
