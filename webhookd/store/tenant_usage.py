"""How much a tenant has of what is limited. Every function works inside the caller's transaction."""

from zlib import crc32

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from webhookd.store.tables import SubscriptionRow

LOCK_CLASS = 1_463_898_188
"""The first key of the advisory locks here: it keeps them apart from those of other applications in the database."""


def lock_registrations(session: Session, tenant: str) -> None:
    """Let other registrations of the tenant wait until this transaction ends, so that a count stays true.

    SQLite needs no lock: its transactions run one after another.
    """
    if session.get_bind().dialect.name == "postgresql":
        # Two tenants with the same checksum only wait for each other.
        session.execute(select(func.pg_advisory_xact_lock(LOCK_CLASS, crc32(tenant.encode()) - (1 << 31))))


def subscriptions(session: Session, tenant: str) -> int:
    """How many subscriptions the tenant has."""
    return session.scalar(select(func.count(SubscriptionRow.id)).where(SubscriptionRow.tenant == tenant)) or 0
