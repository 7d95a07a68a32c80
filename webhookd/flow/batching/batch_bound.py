"""How many bytes the body of a batch has at most, for all lanes of a subscription.

The bound is the smaller one of the subscription's `max_batch_bytes` and of WEBHOOKD_DELIVERY_BYTES. The endpoint lowers
it with a 413 (Content Too Large, RFC 9110 §15.5.14):

    event                                           the bound
    a batch of several records is refused by 413    at most half of what was refused
    GROWTH_S without such a refusal                 doubles, up to the configured one

So a batch is halved until the endpoint takes it, and later batches have that size from the start. An endpoint with a
fixed limit refuses one batch in GROWTH_S. The bound is not stored: after a restart, and after a change of the
subscription, it is the configured one again, and each 413 halves it.
"""

from typing import Final

GROWTH_S: Final = 600.0


class BatchBound:
    """The bound of one subscription in one ingest process; times are monotonic seconds."""

    __slots__ = ("_configured", "_grow_at", "size_bytes")

    def __init__(self, configured: int) -> None:
        self.size_bytes = self._configured = configured
        self._grow_at = 0.0

    def too_large(self, refused_bytes: int, now: float) -> None:
        """Note that the endpoint refused a body of this size by 413."""
        self.size_bytes = min(self.size_bytes, refused_bytes // 2)
        self._grow_at = now + GROWTH_S

    def grow_if_due(self, now: float) -> None:
        """Double the bound when it has held for long enough."""
        if self.size_bytes < self._configured and now >= self._grow_at:
            self.size_bytes = min(self._configured, 2 * self.size_bytes)
            self._grow_at = now + GROWTH_S
