"""What endpoints have consented to. Every function works inside the caller's transaction."""

from sqlalchemy import CursorResult, select, update
from sqlalchemy.orm import Session

from webhookd import clock
from webhookd.store.tables import SubscriptionRow


def set_verified(session: Session, id_: str, version: int, granted_per_minute: int | None) -> bool:
    """Store that the endpoint of this version has consented, as another version; returns whether it did.

    It does not if the subscription was changed or deleted meanwhile: then the endpoint of the new version is asked.
    `granted_per_minute` is how many requests the endpoint has granted; None for any number.
    """
    current = (SubscriptionRow.id == id_, SubscriptionRow.version == version)
    stored = session.scalar(select(SubscriptionRow.destination).where(*current).with_for_update())
    if stored is None:
        return False
    destination = {**stored, "verified": True, "granted_per_minute": granted_per_minute}
    change = update(SubscriptionRow).where(*current).values(destination=destination, **_next_version(version))
    result = session.execute(change)
    return isinstance(result, CursorResult) and result.rowcount > 0


def changed_at(session: Session, id_: str) -> float:
    """When the subscription was changed last, in seconds since the epoch; 0 if it does not exist.

    An endpoint that has not consented is asked at each change.
    """
    return session.scalar(select(SubscriptionRow.changed_at).where(SubscriptionRow.id == id_)) or 0.0


def ask_again(session: Session, id_: str, version: int) -> bool:
    """Give a subscription another version, under which its endpoint is asked at once; returns whether it did.

    It does not if the subscription was changed or deleted meanwhile.
    """
    current = (SubscriptionRow.id == id_, SubscriptionRow.version == version)
    result = session.execute(update(SubscriptionRow).where(*current).values(**_next_version(version)))
    return isinstance(result, CursorResult) and result.rowcount > 0


def _next_version(version: int) -> dict[str, float]:
    return {"version": version + 1, "changed_at": clock.wall_clock()}
