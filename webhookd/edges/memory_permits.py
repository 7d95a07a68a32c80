"""The permits of deliveries in the memory of one process, as those in Redis (redis_permits.py)."""

from collections import defaultdict
from collections.abc import Iterable

from webhookd.clock import Monotonic
from webhookd.flow.dispatch.request_quota import (
    LONGEST_AHEAD_S,
    NotNow,
    Permit,
    PermitRequest,
    Quota,
    UsedPermit,
    first_tokens,
    refusal,
)
from webhookd.flow.dispatch.task_message import DeliveryRef


class MemoryPermits:
    """Used under the lock of the coordination store."""

    def __init__(self, monotonic: Monotonic) -> None:
        self._monotonic = monotonic
        self._full_at: dict[str, float] = {}
        self._holders: defaultdict[str, dict[str, float]] = defaultdict(dict)

    def take(self, request: PermitRequest, ref: DeliveryRef, holder: str) -> Permit | NotNow:
        """Take a permit, or return when to ask again."""
        now = self._monotonic()
        aheads = [self._ahead_s(quota, now) for quota in request.quotas]
        starts = [
            quota.starts_in_s(ahead, first_tokens(quota, ref.batches, ref.records))
            for quota, ahead in zip(request.quotas, aheads, strict=True)
        ]
        refused = refusal(request, starts, [self._held(quota.subject, now) for quota in request.quotas])
        if refused is not None:
            return refused
        reserved = tuple(quota.tokens(ref.batches, ref.records) for quota in request.quotas)
        for quota, ahead, tokens in zip(request.quotas, aheads, reserved, strict=True):
            if quota.rate:
                self._full_at[quota.bucket] = now + ahead + tokens * quota.interval_s
            self._holders[quota.subject][holder] = now + request.lasts_s
        return Permit(holder=holder, quotas=request.quotas, reserved=reserved, ahead_s=tuple(aheads))

    def give_back(self, permits: Iterable[UsedPermit]) -> None:
        """Give back permits; one that has expired gives back no tokens."""
        now = self._monotonic()
        for used in permits:
            for quota, unused_s in zip(used.permit.quotas, used.unused_s(), strict=True):
                held = self._holders[quota.subject].pop(used.permit.holder, None) is not None
                if held and quota.rate:
                    self._full_at[quota.bucket] = now + self._ahead_s(quota, now) - unused_s
                if not self._holders[quota.subject]:
                    del self._holders[quota.subject]
        self._full_at = {bucket: at for bucket, at in self._full_at.items() if at > now}

    def _ahead_s(self, quota: Quota, now: float) -> float:
        ahead_s = max(0.0, self._full_at.get(quota.bucket, now) - now)
        return min(ahead_s, quota.burst * quota.interval_s + LONGEST_AHEAD_S)

    def _held(self, subject: str, now: float) -> int:
        holders = self._holders[subject]
        for holder in [holder for holder, expires_at in holders.items() if expires_at <= now]:
            del holders[holder]
        return len(holders)
