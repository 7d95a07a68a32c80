"""How a subscription slows down when its endpoint asks for it: additive increase, multiplicative decrease (AIMD).

the endpoint answers      requests per second that ingest dispatches
429, or many 503          half of what the endpoint acknowledged per second until now, at least SLOWEST_PER_S; further
                          such answers within EPISODE_S belong to the same decrease
likewise, Retry-After     none until then; after that likewise
anything else             grow each second by a twentieth of the rate before the decrease, and LEAST_INCREASE_PER_S at
                          least
no 429 or 503 for 60 s    double every 10 s
no limit needed for 60 s  no limit

503 has causes that fewer requests do not end, such as one instance of many that restarts. So it counts only when the
endpoint answers at least one in REQUESTS_PER_503 requests with it, or sends `Retry-After`.

So an endpoint that takes no more gets a rate that goes up and down below its own limit. Congestion control of TCP works
in the same way (Chiu and Jain, 1989). The doubling is for an endpoint that answered 503 while it took hardly anything,
for example while it started.
"""

from math import exp2, inf

SLOWEST_PER_S = 1.0
"""The lowest rate, so that a subscription with little traffic is hardly slowed down."""

DECREASE = 0.5
INCREASE_PER_S = 0.05
"""The part of the rate before the decrease by which the rate grows each second."""

LEAST_INCREASE_PER_S = 2.0

REQUESTS_PER_503 = 10
"""503 slows down when at least one in so many requests of this second and the one before is answered with it."""

EPISODE_S = 1.0
"""Requests that were in flight at the decrease are answered within about this time."""

STEADY_S = 60.0
"""After this time without 429 or 503 the rate doubles every DOUBLING_S."""

DOUBLING_S = 10.0

FORGET_S = 60.0
"""A rate that has not held back anything for this long is no limit any more."""


class SlowDown:
    """Owned by the ingest loop, one per subscription. All times are monotonic seconds."""

    __slots__ = (
        "_base", "_before", "_begun_at", "_count", "_needed_at", "_slowed_at", "_step", "_unavailable",
        "_unavailable_before", "not_before",
    )  # fmt: skip

    def __init__(self) -> None:
        self.not_before = -inf
        """No request is dispatched before this time, as `Retry-After` has asked."""
        self._base = inf
        self._step = 0.0
        self._slowed_at = -inf
        self._needed_at = -inf
        self._begun_at = -inf
        self._count = self._before = 0
        self._unavailable = self._unavailable_before = 0

    def acknowledged(self, requests: int, now: float) -> None:
        """Count requests that the endpoint has acknowledged; they are counted by the second."""
        self._begin_second(now)
        self._count += requests

    def answered_503(self, now: float) -> None:
        """Count a 503 without `Retry-After`, and slow down if they are many."""
        self._begin_second(now)
        self._unavailable += 1
        unavailable = self._unavailable + self._unavailable_before
        if REQUESTS_PER_503 * unavailable >= unavailable + self._count + self._before:
            self.begin(now)

    def begin(self, now: float, retry_after_s: float = 0.0) -> None:
        """Slow down: the endpoint has answered 429, or `Retry-After`, or 503 to many requests."""
        if retry_after_s > 0:
            self.not_before = max(self.not_before, now + retry_after_s)
        if now - self._slowed_at < EPISODE_S:
            return
        before = min(self.rate(now), max(self._measured(now), SLOWEST_PER_S))
        self._base = max(SLOWEST_PER_S, DECREASE * before)
        self._step = max(LEAST_INCREASE_PER_S, INCREASE_PER_S * before)
        self._slowed_at = now

    def _begin_second(self, now: float) -> None:
        age = now - self._begun_at
        if age >= 1.0:
            self._before, self._unavailable_before = (self._count, self._unavailable) if age < 2.0 else (0, 0)
            self._begun_at, self._count, self._unavailable = now, 0, 0

    def needed(self, now: float) -> None:
        """Note that the rate has held something back."""
        self._needed_at = now

    def rate(self, now: float) -> float:
        """The requests per second at this moment; infinity without a limit."""
        since = max(0.0, now - max(self._slowed_at, self.not_before))
        if since >= FORGET_S and now - self._needed_at >= FORGET_S:
            return inf
        doublings = min(60.0, max(0.0, since - STEADY_S) / DOUBLING_S)
        return (self._base + self._step * min(since, STEADY_S)) * exp2(doublings)

    def _measured(self, now: float) -> float:
        """The requests per second that were acknowledged in this second and in the one before."""
        age = now - self._begun_at
        if age >= 2.0:
            return 0.0
        return (self._before + self._count) / (1.0 + min(1.0, age)) if self._before else self._count / max(1.0, age)
