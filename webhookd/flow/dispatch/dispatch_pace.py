"""How much of a subscription ingest may dispatch now: its rate limit, its concurrency, and what its endpoint asks for.

Workers enforce the quotas (request_quota.py): they count exactly, for all processes. This keeps deliveries in their
lanes, or their records in Kafka, until a worker would send them. Otherwise tasks would wait in the workers.

held_by                   nothing leaves                                              until
retry_after               the endpoint has answered with `Retry-After`                then
slow_down                 it has answered 429 or 503 (slow_down.py)                   the next token
rate_limit, host_limit,   the tokens are used up                                      the next token
granted_rate
max_concurrent_requests   as many deliveries are in flight as may be open             one ends
(the worker's reason)     a worker has refused a delivery, and said so                it is claimed, or has not been
                                                                                      for 5 s after its wait
(as before)               workers may have refused a delivery: it has waited for      it is claimed
                          0.5 s, and less than 5 s

Retries are sent by workers at their time. One that is due comes before what is dispatched here, by the last row.
"""

from collections.abc import Iterable, Sequence
from math import inf

from webhookd.flow.attempt.attempt_report import LoggedExchange
from webhookd.flow.attempt.judge import SLOW_DOWN
from webhookd.flow.attempt.response_head import retry_after_s
from webhookd.flow.attempt.retry import LONGEST_RETRY_AFTER_S
from webhookd.flow.batching.batch import Batch
from webhookd.flow.destination import RateLimit
from webhookd.flow.dispatch.delivery import Delivery, DeliveryStage
from webhookd.flow.dispatch.request_quota import HORIZON_S, HeldBy, Quota, tightest_concurrency
from webhookd.flow.dispatch.slow_down import SlowDown

UNAVAILABLE_STATUS = 503

LEAD_S = 0.1
"""So much before its first token a delivery is dispatched: it takes about as long to reach a worker, and lanes are
checked every 0.05 s."""

REFUSED_S = 0.5
"""A delivery that no worker has claimed for longer was refused, or all workers are busy."""

ASSUMED_LOST_S = 5.0
"""A delivery that no worker has claimed for longer may be lost, and does not hold back the others."""

SHOWN_S = 2.0
"""How long the status shows that a subscription was held back. Ingest writes it about once a second."""

BURST_S = 0.05
"""The burst of a rate by SlowDown. Workers do not spread its requests, so a delivery has what LEAD_S and this allow: an
endpoint that has just refused requests should not get many at once."""

MAX_BATCHES = 20_000
"""Batches in one delivery. It bounds what is sent twice when a worker dies, and the size of the delivery's report."""


class TokenBucket:
    """The bucket of a quota as this process knows it: it does not see what other processes take."""

    __slots__ = ("full_at", "held_by", "quota", "spread_s")

    def __init__(self, quota: Quota, held_by: HeldBy, spread_s: float) -> None:
        self.quota = quota
        self.held_by = held_by
        self.spread_s = spread_s
        """The time that the requests of one delivery may take, beyond the burst."""
        self.full_at = -inf

    def starts_at(self, tokens: int, now: float) -> float:
        """When a request with so many tokens could begin."""
        return now + self.quota.starts_in_s(max(0.0, self.full_at - now), min(tokens, self.quota.burst))

    @property
    def opens_at(self) -> float:
        """When a request with one token may be dispatched."""
        return self.full_at + (1 - self.quota.burst) * self.quota.interval_s - LEAD_S

    def fitting(self, tokens: int, now: float) -> int:
        """How many requests with so many tokens each one delivery may have."""
        ahead_s = max(0.0, self.full_at - now)
        return int(((self.spread_s - ahead_s) / self.quota.interval_s + self.quota.burst) / max(1, tokens))

    def take(self, tokens: int, now: float) -> None:
        """Take tokens."""
        self.full_at = max(self.full_at, now) + tokens * self.quota.interval_s


class DispatchPace:
    """The pace of one subscription; owned by the ingest loop. `quotas` are its own and that of its host."""

    def __init__(self, quotas: Sequence[Quota] = (), target_s: float = HORIZON_S) -> None:
        self._max_concurrent = tightest_concurrency(quotas)
        self._buckets = [TokenBucket(quota, quota.rate_held_by, target_s) for quota in quotas if quota.rate]
        self._slow_down = SlowDown()
        self._slowed = TokenBucket(Quota(subject=""), HeldBy.SLOW_DOWN, LEAD_S)
        self._held_by = HeldBy.RATE_LIMIT
        self._held_until = -inf
        self._refused_by = HeldBy.RATE_LIMIT
        self._refused_until = -inf

    def room(self, deliveries: Iterable[Delivery], now: float) -> "Room | None":
        """Return what may leave now beside these deliveries in flight; None for everything."""
        per_second = self._slow_down.rate(now)
        slowed = per_second < inf
        if not slowed and not self._buckets and self._max_concurrent is None:
            return None
        rate = RateLimit(per_second=per_second, burst=max(1, int(per_second * BURST_S))) if slowed else None
        self._slowed.quota = Quota(subject="", rate=rate)
        buckets = [*self._buckets, self._slowed] if slowed else self._buckets
        return Room(self, buckets, self._room_for(deliveries, now), now)

    @property
    def opens_at(self) -> float:
        """When the next delivery may leave, as far as that is known; minus infinity: at once."""
        return max([self._slow_down.not_before, *(bucket.opens_at for bucket in (*self._buckets, self._slowed))])

    def why_held(self, now: float) -> str:
        """Why records were held back a moment ago; empty if they were not."""
        return self._held_by.value if now - self._held_until < SHOWN_S else ""

    def held(self, reason: HeldBy, now: float) -> None:
        """Note that records are held back."""
        self._held_by, self._held_until = reason, max(now, self._held_until)
        if reason is HeldBy.SLOW_DOWN:
            self._slow_down.needed(now)

    def refused(self, reason: str, until: float) -> None:
        """Note that a worker has refused a delivery until then; `reason` is empty, or unknown, in another version."""
        if reason in set(HeldBy):
            self._refused_by = self._held_by = HeldBy(reason)
            self._refused_until = self._held_until = max(until, self._refused_until)

    def reported(self, acknowledged: int, failure: LoggedExchange | None, now: float) -> None:
        """Count acknowledged requests, and slow down if the endpoint asks for it."""
        self._slow_down.acknowledged(acknowledged, now)
        if failure is None or failure.error not in SLOW_DOWN:
            return
        asked_s = retry_after_s(failure.head, failure.at) or 0.0
        if failure.status == UNAVAILABLE_STATUS and not asked_s:
            self._slow_down.answered_503(now)
        else:
            self._slow_down.begin(now, min(asked_s, LONGEST_RETRY_AFTER_S))

    def take(self, requests: int, records: int, now: float) -> None:
        """Take tokens for requests that were dispatched, or that a worker has begun to retry."""
        for bucket in (*self._buckets, self._slowed):
            if bucket.quota.rate:
                bucket.take(bucket.quota.tokens(requests, records), now)

    def give_back(self, batches: Sequence[Batch]) -> None:
        """Give back the tokens of batches that were dispatched and not sent."""
        for bucket in (*self._buckets, self._slowed):
            records = sum(batch.records for batch in batches)
            bucket.full_at -= bucket.quota.tokens(len(batches), records) * bucket.quota.interval_s

    def _room_for(self, deliveries: Iterable[Delivery], now: float) -> float:
        """How many deliveries may leave beside these; none while a worker refuses one of them."""
        in_flight = 0
        for delivery in deliveries:
            unclaimed_s = delivery.unclaimed_s(now)
            if delivery.refused and unclaimed_s < ASSUMED_LOST_S:
                return 0
            if delivery.stage is DeliveryStage.RETRYING and not 0 <= unclaimed_s < ASSUMED_LOST_S:
                continue
            if REFUSED_S < unclaimed_s < ASSUMED_LOST_S:
                return 0
            in_flight += delivery.stage is not DeliveryStage.DEAD_LETTERING
        return inf if self._max_concurrent is None else self._max_concurrent - in_flight

    def retry_after(self, now: float) -> bool:
        """Whether nothing may be dispatched because of `Retry-After`."""
        return now < self._slow_down.not_before

    def full_because(self, now: float, buckets: Sequence[TokenBucket]) -> HeldBy:
        """Why no further delivery may be in flight."""
        if now < self._refused_until + ASSUMED_LOST_S:
            return self._refused_by
        return HeldBy.CONCURRENCY if self._max_concurrent is not None or not buckets else buckets[0].held_by


class Room:
    """What may leave in one dispatch."""

    def __init__(self, pace: DispatchPace, buckets: Sequence[TokenBucket], deliveries: float, now: float) -> None:
        self._pace = pace
        self._buckets = buckets
        self._deliveries = deliveries
        self._now = now
        self.refused = False
        """Whether a delivery was held back."""

    def admits(self, records: int) -> bool:
        """Whether a delivery whose first request has so many records may leave."""
        reason = self._reason(records)
        if reason is not None:
            self.refused = True
            self._pace.held(reason, self._now)
        return reason is None

    def batches(self, records: int) -> int:
        """How many requests with so many records each a delivery may have, at least one."""
        fitting = (bucket.fitting(bucket.quota.tokens(1, records), self._now) for bucket in self._buckets)
        return max(1, min(fitting, default=MAX_BATCHES))

    def take(self, delivery: Delivery) -> None:
        """Count a delivery that leaves."""
        self._deliveries -= 1
        self._pace.take(len(delivery.batches), sum(batch.records for batch in delivery.batches), self._now)

    def _reason(self, records: int) -> HeldBy | None:
        if self._pace.retry_after(self._now):
            return HeldBy.RETRY_AFTER
        for bucket in self._buckets:
            if bucket.starts_at(bucket.quota.tokens(1, records), self._now) > self._now + LEAD_S:
                return bucket.held_by
        return None if self._deliveries >= 1 else self._pace.full_because(self._now, self._buckets)
