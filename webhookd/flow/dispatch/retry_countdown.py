"""The wait before a retry, as the task carries it: its length, and its end by the clock of the coordination store.

Celery sends the end as a time of day by the publisher's clock, and the consumer compares it with its own clock. If the
two differ by ten minutes, the retry runs at once, or ten minutes late. All processes can read the clock of the
coordination store.

the publisher reads the clock   the consumer reads it   the consumer waits
yes                             yes                     until the end of the wait, at most its length
no (Redis is down)              yes or no               the whole length
yes or no                       no                      the whole length
"""

from collections.abc import Callable, Mapping
from typing import Any, Self

import msgspec

from webhookd.conversion import converter


class RetryCountdown(msgspec.Struct, frozen=True):
    """How long a task waits, and until when by the store's clock; None if the publisher could not read it."""

    wait_s: float
    until: float | None

    @classmethod
    def of(cls, wait_s: float, now: float | None) -> Self:
        """Return a wait that begins at `now`, by the store's clock."""
        return cls(wait_s, None if now is None else now + wait_s)

    @staticmethod
    def from_wire(wire: object) -> "RetryCountdown | None":
        """Parse the countdown in a task's options; None if another version of webhookd sent it."""
        try:
            return _countdown(wire)
        except msgspec.ValidationError:
            return None

    def to_wire(self) -> Mapping[str, Any]:
        """Return the countdown in plain JSON types."""
        wire: Mapping[str, Any] = msgspec.to_builtins(self)
        return wire

    def left_s(self, now: float | None) -> float:
        """Return the rest of the wait; `now` is by the store's clock, None if that cannot be read."""
        if now is None or self.until is None:
            return self.wait_s
        return min(max(0.0, self.until - now), self.wait_s)


_countdown: Callable[[object], RetryCountdown] = converter(RetryCountdown)
