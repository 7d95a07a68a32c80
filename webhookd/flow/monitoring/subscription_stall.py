"""What is normal for a moment and a fault when it lasts: each standstill by its code, with how long it may take.

code                  what                                                                       normal for
position_unknown      where a lane begins to read, or reads on, cannot be learnt from Kafka      1 min
not_assigned          the group assigns partitions of an existing topic to nobody here           2 min
deliveries_unclaimed  no worker begins with a delivery, or with its retry when that is due               5 min
deliveries_stale      workers refuse every delivery as one of an older configuration or epoch    1 min
dead_letters_waiting  dead letters are not written; the records behind them wait                 1 min
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

POSITION_UNKNOWN = "position_unknown"
NOT_ASSIGNED = "not_assigned"
DELIVERIES_UNCLAIMED = "deliveries_unclaimed"
DELIVERIES_STALE = "deliveries_stale"
DEAD_LETTERS_WAITING = "dead_letters_waiting"

TOLERATED_S: Mapping[str, float] = {
    POSITION_UNKNOWN: 60.0,
    NOT_ASSIGNED: 120.0,  # a killed member keeps its partitions for its session: 45 s with the consumer protocol
    DELIVERIES_UNCLAIMED: 300.0,
    DELIVERIES_STALE: 60.0,
    DEAD_LETTERS_WAITING: 60.0,
}
RESUMED_PROBLEM_KEPT_S: Mapping[str, float] = {code: 1.5 * normal_s for code, normal_s in TOLERATED_S.items()}
"""After the start, before that a problem from before it stands: what stands still needs its time to be found again."""

SHOWN = 5
"""Subjects named in the detail."""


@dataclass(frozen=True, slots=True)
class Stall:
    """What stands still at this moment: `subject` is the lane, or whatever of the kind it is."""

    code: str
    subject: str
    detail: str = ""


class StallDetector:
    """Since when what stands still does; told of all of it again and again, in monotonic seconds."""

    def __init__(self) -> None:
        self._since: dict[tuple[str, str], float] = {}

    def check(self, found: Iterable[Stall], now: float) -> dict[str, str | None]:
        """By code: the detail of what has lasted for too long, None where nothing stands still.

        A code is absent while what stands still may yet be normal.
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
    said = next((item.detail for item in found if item.detail), "")
    return ": ".join(part for part in (subjects, said) if part)
