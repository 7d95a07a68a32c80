"""How many requests a caller may make: the generic cell rate algorithm (GCRA), a token bucket with one stored number.

A bucket is full with `requests` tokens. Each request takes one, and one comes back every `window_s / requests` seconds.
The stored number is the time at which the bucket is full again.

600 requests in 60 s   stored   now     answer
first request          -        0.0     allowed, 599 left, full in 0.1 s
600 at once            60.0     0.0     allowed, none left
one more               60.0     0.0     refused: try again in 0.1 s
6 s later              60.0     6.0     60 are left
"""

import math
from dataclasses import dataclass
from typing import Final

MINUTE_S: Final = 60.0

_ROUNDING_S: Final = 1e-6
"""Redis counts in microseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """At most `requests` at once, and as many again in each `window_s`; `name` is what the response calls it."""

    name: str
    requests: int
    window_s: float = MINUTE_S

    @property
    def interval_s(self) -> float:
        """After this time one more request is allowed."""
        return self.window_s / self.requests


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """Whether a request is allowed; how many more are; when the bucket is full; when a refused one may be repeated."""

    allowed: bool
    remaining: int
    full_in_s: float
    retry_after_s: float = 0.0


def allowance(rate: Rate, full_in_s: float, *, allowed: bool) -> Allowance:
    """Return what is left when the bucket is full in `full_in_s`, after a request that was allowed or refused."""
    left = max(0, math.floor((rate.window_s - full_in_s + _ROUNDING_S) / rate.interval_s))
    if allowed:
        return Allowance(allowed=True, remaining=left, full_in_s=full_in_s)
    wait_s = max(0.0, full_in_s + rate.interval_s - rate.window_s)
    return Allowance(allowed=False, remaining=0, full_in_s=full_in_s, retry_after_s=wait_s)


def take(rate: Rate, full_at: float, now: float) -> tuple[float, Allowance]:
    """Return when the bucket is full after one request at `now`, and the answer; a refused request takes nothing.

    A stored time that is further ahead than the window comes from another limit, or from a clock that was set back.
    """
    full_at = min(max(full_at, now), now + rate.window_s)
    after = full_at + rate.interval_s
    if after - now > rate.window_s + _ROUNDING_S:
        return full_at, allowance(rate, full_at - now, allowed=False)
    return after, allowance(rate, after - now, allowed=True)
