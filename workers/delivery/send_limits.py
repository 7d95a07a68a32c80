"""How long the deliveries of a worker may take, and the clocks that say how long they have taken."""

from collections.abc import Callable
from dataclasses import dataclass

from webhookd.clock import Monotonic, WallClock
from webhookd.flow.destination import LONGEST_TIMEOUT_S


@dataclass(frozen=True, slots=True, kw_only=True)
class SendLimits:
    """How long one delivery may take: `budget_s` in total, `deadline_s` per exchange, `lease_s` between two reports."""

    budget_s: float
    deadline_s: float
    lease_s: float
    retry_time_scale: float = 1.0

    @property
    def lost_after_s(self) -> float:
        """A sender that has not ended after this time is lost: even the slowest one has ended and reported by then.

        That one waits for an access token, gets 401, waits for another token, and sends the request again.
        """
        twice_s = 2 * (self.deadline_s + max(self.deadline_s, LONGEST_TIMEOUT_S))
        return self.budget_s + twice_s + 2 * self.lease_s + 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """The clocks and the source of random numbers in [0, 1)."""

    monotonic: Monotonic
    wall: WallClock
    chance: Callable[[], float]
