"""The wait before a retry, as its task carries it: a length, and its end by the clock that all processes share.

Celery sends the end as a time of day by the publisher's clock, and the consumer compares that with its own: between
clocks that differ by ten minutes the retry comes at once, or ten minutes late. The clock they share is the board's.

the clock, for who publishes    for who consumes    left of the wait
known                           known               up to its end; never more than its length
not known (Redis is away)       either              all of it
either                          not known           all of it
"""

from collections.abc import Mapping
from typing import Any, Self

import msgspec


class RetryCountdown(msgspec.Struct, frozen=True):
    """How long a task waits, and until when by the board's clock; None when the publisher could not tell."""

    wait_s: float
    until: float | None

    @classmethod
    def of(cls, wait_s: float, now: float | None) -> Self:
        """One that begins now; `now` is by the board's clock."""
        return cls(wait_s, None if now is None else now + wait_s)

    @classmethod
    def from_wire(cls, wire: object) -> Self | None:
        """As it was sent; None for what another version sent."""
        try:
            return msgspec.convert(wire, cls)
        except msgspec.ValidationError:
            return None

    def to_wire(self) -> Mapping[str, Any]:
        """In plain JSON types."""
        wire: Mapping[str, Any] = msgspec.to_builtins(self)
        return wire

    def left_s(self, now: float | None) -> float:
        """What is left of the wait."""
        if now is None or self.until is None:
            return self.wait_s
        return min(max(0.0, self.until - now), self.wait_s)
