"""Builders of dead letters."""

from webhookd.flow.dead_letter import DeadLetter
from webhookd.flow.offsets.position import Partition


def dead_letter(id_: str, offset: int = 7, size_bytes: int = 1, *, key: bytes | None = None) -> DeadLetter:
    """A dead letter of a subscription, of the topic `orders`."""
    return DeadLetter(
        subscription_id=id_,
        partition=Partition("orders", 0),
        offset=offset,
        timestamp_ms=0,
        key=key,
        value=b"{" * size_bytes,
        headers=(),
        cause="not_json",
    )
