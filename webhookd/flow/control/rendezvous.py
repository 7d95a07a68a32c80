"""Which ingest process runs a subscription: rendezvous hashing (Thaler and Ravishankar, 1998).

Every process computes the same result by itself. When a process joins, only the subscriptions that it takes over move;
when one leaves, only its own.
"""

from collections.abc import Sequence
from hashlib import blake2b


def owner(subscription_id: str, members: Sequence[str]) -> str | None:
    """The member with the highest score for this subscription; None without members."""
    return max(members, key=lambda member: _score(subscription_id, member), default=None)


def _score(subscription_id: str, member: str) -> bytes:
    return blake2b(f"{member}\0{subscription_id}".encode(), digest_size=8).digest()
