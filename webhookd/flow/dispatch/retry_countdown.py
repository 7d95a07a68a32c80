"""The wait before a retry, as the task carries it: its length, and its end by the clock of the coordination store.

Celery sends the end as a time of day by the publisher's clock, and the consumer compares it with its own clock. If the
two differ by ten minutes, the retry runs at once, or ten minutes late. All processes can read the clock of the
coordination store.

the publisher reads the clock   the consumer reads it   left of the wait
yes                             yes                     until its end, and not more than its length
no (Redis is down)              yes or no               all of it
yes or no                       no                      all of it
"""

from collections.abc import Mapping
from typing import Any, Self

import msgspec


class RetryCountdown(msgspec.Struct, frozen=True):
    """How long a task waits, and until when by the store's clock; None if the publisher could not read that."""

    wait_s: float
    until: float | None

    @classmethod
    def of(cls, wait_s: float, now: float | None) -> Self:
        """A wait that begins at `now`, by the store's clock."""
        return cls(wait_s, None if now is None else now + wait_s)

    @classmethod
    def from_wire(cls, wire: object) -> Self | None:
        """The countdown in a task's options; None for what another version of webhookd sent."""
        try:
            return msgspec.convert(wire, cls)
        except msgspec.ValidationError:
            return None

    def to_wire(self) -> Mapping[str, Any]:
        """In plain JSON types."""
        wire: Mapping[str, Any] = msgspec.to_builtins(self)
        return wire

    def left_s(self, now: float | None) -> float:
        """The rest of the wait; `now` is by the store's clock, None if that cannot be read."""
        if now is None or self.until is None:
            return self.wait_s
        return min(max(0.0, self.until - now), self.wait_s)
