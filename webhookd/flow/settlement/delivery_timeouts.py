"""After which times a delivery in flight is overdue."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryTimeouts:
    """The timeouts after which a delivery is overdue. A subscription's own timeout replaces `request_deadline_s`."""

    claim_timeout_s: float
    lease_s: float
    request_deadline_s: float
    retry_time_scale: float = 1.0

    def silent_s(self, timeout_s: float | None) -> float:
        """How long a worker that no longer reports may still be sending, if a request may take `timeout_s`."""
        return self.lease_s + (timeout_s or self.request_deadline_s)
