"""Whether webhookd as a whole is online, as its operators set it, and how an offline switch runs its course.

0 s      nothing new is dispatched, no request is begun
4 s      workers cut the requests that are still open; what they got done is reported
4.5 s    ingest drops what it still waits for and leaves the consumer groups
"""

from dataclasses import dataclass
from enum import StrEnum

ABORT_AFTER_S = 4.0
"""How long after the switch a request may still be answered; a cut one is nobody's failure and is sent again."""

SETTLE_WITHIN_S = 4.5
"""How long after the switch ingest waits for reports: those of the cut requests are to be among them."""

OFFLINE_REASON = "offline"
"""Why a subscription is inactive that its owner did not switch off."""


class Availability(StrEnum):
    """Whether subscriptions run at all."""

    ONLINE = "online"
    OFFLINE = "offline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Administration:
    """The switch as it stands: `age_s` is how long ago it was last turned, by the database's clock."""

    status: Availability = Availability.ONLINE
    offline_message: str = ""
    age_s: float = 0.0

    @property
    def offline(self) -> bool:
        """Whether every subscription has to stand still."""
        return self.status is Availability.OFFLINE


ONLINE = Administration()
"""As long as nobody ever turned the switch."""
