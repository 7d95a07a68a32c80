"""Detects stalls of a subscription: states that are normal for a short time and a problem when they last.

code                  state                                                                      tolerated for
position_unknown      Kafka does not return the offset at which a lane starts or continues       1 min
not_assigned          the group assigns partitions of an existing topic to no consumer here      2 min
deliveries_unclaimed  no worker starts a delivery, or its retry when that is due                 5 min
deliveries_stale      workers reject every delivery as one of an older configuration or epoch    1 min
dead_letters_waiting  dead letters are not stored; the records behind them wait                  1 min
secrets_unreadable    a worker cannot decrypt the secrets of the subscription                    0 s
destination_unusable  a worker cannot use the options of the destination                         0 s
endpoint_unverified   the endpoint has not shown that it wants the requests                      1 min
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from webhookd.errors import SecretsUnreadable, UnusableDestination

POSITION_UNKNOWN = "position_unknown"
NOT_ASSIGNED = "not_assigned"
DELIVERIES_UNCLAIMED = "deliveries_unclaimed"
DELIVERIES_STALE = "deliveries_stale"
DEAD_LETTERS_WAITING = "dead_letters_waiting"
SECRETS_UNREADABLE = SecretsUnreadable.code
DESTINATION_UNUSABLE = UnusableDestination.code
ENDPOINT_UNVERIFIED = "endpoint_unverified"

TOLERATED_S: Mapping[str, float] = {
    POSITION_UNKNOWN: 60.0,
    NOT_ASSIGNED: 120.0,  # a killed member keeps its partitions for its session: 45 s with the consumer protocol
    DELIVERIES_UNCLAIMED: 300.0,
    DELIVERIES_STALE: 60.0,
    DEAD_LETTERS_WAITING: 60.0,
    SECRETS_UNREADABLE: 0.0,
    DESTINATION_UNUSABLE: 0.0,
    ENDPOINT_UNVERIFIED: 60.0,  # an endpoint that is ready consents within a second or two
}
RESUMED_PROBLEM_KEPT_S: Mapping[str, float] = {code: max(60.0, 1.5 * wait_s) for code, wait_s in TOLERATED_S.items()}
"""How long after the start of the process a problem from before is kept: it takes time to find a stall again."""

SHOWN = 5
"""How many subjects the detail names."""


@dataclass(frozen=True, slots=True)
class Stall:
    """One current stall; `subject` is the lane, the topic or the delivery that is stalled."""

    code: str
    subject: str
    detail: str = ""


class StallDetector:
    """Keeps since when each stall lasts; each call of `check` gets all current stalls. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._since: dict[tuple[str, str], float] = {}

    def check(self, found: Iterable[Stall], now: float) -> dict[str, str | None]:
        """Return by code the detail of the stalls that have lasted too long, None where there is no stall.

        A code is absent while its stalls are still tolerated.
        """
        known = {(item.code, item.subject): item for item in found}
        self._since = {key: self._since.get(key, now) for key in known}
        lasting = [item for key, item in known.items() if now - self._since[key] >= TOLERATED_S[item.code]]
        over: dict[str, str | None] = dict.fromkeys(TOLERATED_S.keys() - {code for code, _ in known})
        return over | {code: _detail([item for item in lasting if item.code == code]) for code in _codes(lasting)}


def _codes(found: Iterable[Stall]) -> set[str]:
    return {item.code for item in found}


def _detail(found: list[Stall]) -> str:
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    subjects = ", ".join(item.subject for item in found[:SHOWN] if item.subject) + more
    detail = next((item.detail for item in found if item.detail), "")
    return ": ".join(part for part in (subjects, detail) if part)
