"""Quotas of requests, and the permit that a worker takes with the claim of a delivery.

A quota belongs to a subject: a subscription, or the host of its URL. It has a rate, a number of deliveries that may be
open at once, or both. The coordination store counts them for all workers, by its own clock.

rate          a token bucket as one number, the time at which it is full (GCRA). A permit reserves the tokens of all
              requests of a delivery. Request n begins when its token is there:
              full_at + (tokens of the requests up to n - burst) * interval
concurrency   the permits that are held. A delivery sends one request at a time, so it needs one

The wait for the first request may last HORIZON_S in the worker, for a retry RETRY_HORIZON_S. If it would be longer,
nothing is reserved and the delivery stays unclaimed: its task is published again for later. With its last report a
delivery gives back the permit and the tokens that it has not used. The permit of a worker that has died expires.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from webhookd.flow.destination import RateLimit, RateUnit, RequestLimits

HOST = "host:"
"""The subject of a host's quota begins with this, that of a subscription's is its id."""

GRANTED = ":granted"
"""The subject of a quota that the endpoint has granted ends with this; before it is the subscription's id."""

HORIZON_S = 0.25
"""How long a claimed delivery may wait for its first request; as long as a delivery to a fast endpoint lasts."""

RETRY_HORIZON_S = 1.0
"""The same for a retry. It is longer, so that a retry finds a place behind the deliveries that hold the next tokens."""

FULL_WAIT_S = 0.2
"""When to ask again while as many deliveries are open as may be."""

LONGEST_AHEAD_S = 120.0
"""A bucket is never reserved further ahead than this, beyond its burst: then the store's clock was set back."""


class HeldBy(StrEnum):
    """Why records wait although their endpoint accepts requests; the table in dispatch_pace.py says until when."""

    RETRY_AFTER = "retry_after"
    SLOW_DOWN = "slow_down"
    RATE_LIMIT = "rate_limit"
    HOST_LIMIT = "host_limit"
    GRANTED_RATE = "granted_rate"
    CONCURRENCY = "max_concurrent_requests"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """What all requests of one subject may use together; None for no limit."""

    subject: str
    rate: RateLimit | None = None
    max_concurrent: int | None = None

    @property
    def interval_s(self) -> float:
        """The time in which one token comes back; 0 without a rate."""
        return 1.0 / self.rate.per_second if self.rate else 0.0

    @property
    def burst(self) -> int:
        """The tokens of a full bucket."""
        return self.rate.burst if self.rate else 0

    @property
    def bucket(self) -> str:
        """The name of its bucket: another rate has another bucket, which begins full."""
        return f"{self.subject}:{self.rate.per_second:g}:{self.rate.burst}:{self.rate.unit[:3]}" if self.rate else ""

    @property
    def of_host(self) -> bool:
        """Whether its subject is a host."""
        return self.subject.startswith(HOST)

    @property
    def is_granted(self) -> bool:
        """Whether the endpoint has granted it."""
        return self.subject.endswith(GRANTED)

    @property
    def rate_held_by(self) -> HeldBy:
        """The reason while its tokens are used up."""
        if self.of_host:
            return HeldBy.HOST_LIMIT
        return HeldBy.GRANTED_RATE if self.is_granted else HeldBy.RATE_LIMIT

    def tokens(self, requests: int, records: int) -> int:
        """How many tokens these requests, with so many records together, take."""
        return records if self.rate is not None and self.rate.unit is RateUnit.RECORDS else requests

    def starts_in_s(self, ahead_s: float, tokens: int) -> float:
        """When a request begins that needs `tokens`, counted with those before it; the bucket is full in `ahead_s`.

        It may be negative: at once.
        """
        return ahead_s + (tokens - self.burst) * self.interval_s


@dataclass(frozen=True, slots=True, kw_only=True)
class PermitRequest:
    """What a delivery needs beside its claim; the permit expires after `lasts_s`, if it is not given back.

    Its first request may have to wait `horizon_s` after the claim.
    """

    quotas: tuple[Quota, ...]
    lasts_s: float
    horizon_s: float = HORIZON_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """What a delivery got: `reserved` tokens of each quota. `ahead_s` is when each bucket would have been full."""

    holder: str
    quotas: tuple[Quota, ...]
    reserved: tuple[int, ...]
    ahead_s: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Permitted:
    """A claimed delivery with its permit."""

    payload: bytes
    permit: Permit


@dataclass(frozen=True, slots=True)
class NotNow:
    """The delivery is not claimed: a quota is used up. It may be asked for again after `wait_s`."""

    wait_s: float
    held_by: HeldBy


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedPermit:
    """A permit that is given back, with what the requests that were begun have taken of each quota."""

    permit: Permit
    taken: tuple[int, ...]

    def unused_s(self) -> tuple[float, ...]:
        """By how much earlier each bucket is full; negative when more was taken than reserved."""
        counts = zip(self.permit.quotas, self.permit.reserved, self.taken, strict=True)
        return tuple((reserved - taken) * quota.interval_s for quota, reserved, taken in counts)


def quotas_of(
    subscription_id: str, limits: RequestLimits, host: Quota | None = None, granted_per_minute: int | None = None
) -> tuple[Quota, ...]:
    """The quotas of a subscription's requests, its own first; none for a subscription without limits.

    `granted_per_minute` is how many requests a minute its endpoint has granted; None for any number.
    """
    own = Quota(subject=subscription_id, rate=limits.rate_limit, max_concurrent=limits.max_concurrent)
    granted = Quota(subject=f"{subscription_id}{GRANTED}", rate=_granted(granted_per_minute))
    return tuple(quota for quota in (own, granted, host) if quota is not None and (quota.rate or quota.max_concurrent))


def _granted(per_minute: int | None) -> RateLimit | None:
    """The rate that an endpoint has granted; what it grants for a second may be sent at once."""
    return RateLimit(per_second=per_minute / 60, burst=max(1, per_minute // 60)) if per_minute else None


def first_tokens(quota: Quota, requests: int, records: int) -> int:
    """The tokens of the first of these requests, which are about equal; one that needs more waits in the worker."""
    return min(quota.burst, -(-quota.tokens(requests, records) // max(1, requests)))


def refusal(request: PermitRequest, starts_in_s: Iterable[float], held: Iterable[int]) -> NotNow | None:
    """None if a delivery may be claimed, else the longest wait of a quota; `held` permits of each are in use."""
    waits = []
    for quota, start_s, count in zip(request.quotas, starts_in_s, held, strict=True):
        if quota.max_concurrent is not None and count >= quota.max_concurrent:
            waits.append(NotNow(max(FULL_WAIT_S, start_s - HORIZON_S / 2), HeldBy.CONCURRENCY))
        elif start_s > request.horizon_s:
            waits.append(NotNow(start_s - HORIZON_S / 2, quota.rate_held_by))
    return max(waits, key=lambda wait: wait.wait_s, default=None)


class SendSchedule:
    """When each request of a delivery may begin; owned by its sender. `granted_at` is monotonic seconds."""

    def __init__(self, permit: Permit, granted_at: float) -> None:
        self.permit = permit
        self._granted_at = granted_at
        self._taken = [0] * len(permit.quotas)

    def starts_at(self, records: int) -> float:
        """When the next request, with so many records, may begin."""
        counts = zip(self.permit.quotas, self.permit.ahead_s, self._taken, strict=True)
        waits = (quota.starts_in_s(ahead, taken + quota.tokens(1, records)) for quota, ahead, taken in counts)
        return self._granted_at + max(waits)

    def begun(self, records: int) -> None:
        """Count a request that begins now."""
        for index, quota in enumerate(self.permit.quotas):
            self._taken[index] += quota.tokens(1, records)

    def used(self) -> UsedPermit:
        """What to give back."""
        return UsedPermit(permit=self.permit, taken=tuple(self._taken))


def tightest_concurrency(quotas: Sequence[Quota]) -> int | None:
    """The lowest number of deliveries that one of the quotas allows at once; None if none has a limit."""
    return min((quota.max_concurrent for quota in quotas if quota.max_concurrent is not None), default=None)
