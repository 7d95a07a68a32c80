"""Whether webhookd as a whole is online, as its operators set it, and what happens when they set it offline.

after    what happens
0 s      nothing new is dispatched, and no request is begun
4 s      workers abort the requests that are still open, and report how far each delivery got
4.5 s    ingest no longer waits for reports, and leaves the consumer groups
"""

from dataclasses import dataclass
from enum import StrEnum

ABORT_AFTER_S = 4.0
"""After the switch, open requests have this long to end. Aborted ones do not count as failures and are sent again."""

SETTLE_WITHIN_S = 4.5
"""How long ingest waits for reports after the switch. Those of the aborted requests must arrive within it."""

OFFLINE_REASON = "offline"
"""The reason code of a subscription that is inactive because webhookd is offline."""


class Availability(StrEnum):
    """Whether any subscription runs."""

    ONLINE = "online"
    OFFLINE = "offline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Administration:
    """The state of the switch; `age_s` is how long ago it was last set, by the database's clock."""

    status: Availability = Availability.ONLINE
    offline_message: str = ""
    age_s: float = 0.0

    @property
    def offline(self) -> bool:
        """Whether no subscription may run."""
        return self.status is Availability.OFFLINE


ONLINE = Administration()
"""The state before the switch is set for the first time."""
