"""Which parts of the system are at fault, from looks at each of them every few seconds.

a part's answer                what it means
well                           no fault; one that was said is over
a failure, for less than 5 s   nothing yet: a lost packet, a restart (workers take longer to start: 15 s)
a failure, for longer          a fault, since the first look that failed
none (it could not be asked)   nothing: what was last known stays
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from webhookd.errors import NoWorkers

LASTING_S = 5.0
LONGER_S = {NoWorkers.code: 15.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemFault:
    """A part that does not work: its code, what it said, and since when (seconds since the epoch)."""

    code: str
    detail: str
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultChanges:
    """What is news after a look."""

    began: tuple[SystemFault, ...] = ()
    ended: tuple[SystemFault, ...] = ()


class FaultTracker:
    """What one process knows of the parts; told of each look in order."""

    def __init__(self) -> None:
        self._failing: dict[str, SystemFault] = {}
        self.standing: dict[str, SystemFault] = {}
        """The faults that are, by code."""
        self.well: frozenset[str] = frozenset()
        """The codes that were well at the last look that asked."""

    def saw(self, answers: Mapping[str, str | None], now: float) -> FaultChanges:
        """Take the answers of one look: by code what is wrong, None where all is well."""
        well = {code for code, detail in answers.items() if detail is None}
        ended = tuple(fault for code, fault in self.standing.items() if code in well)
        for code in well:
            self._failing.pop(code, None)
            self.standing.pop(code, None)
        self.well = (self.well - answers.keys()) | well
        return FaultChanges(began=tuple(self._lasting(answers, now)), ended=ended)

    def _lasting(self, answers: Mapping[str, str | None], now: float) -> list[SystemFault]:
        began = []
        for code, detail in answers.items():
            if detail is None:
                continue
            first = self._failing.setdefault(code, SystemFault(code=code, detail=detail, since=now))
            # A clock that was set back must not keep a fault from being said.
            since = min(first.since, now)
            self._failing[code] = fault = replace(first, detail=detail, since=since)
            if now - since < LONGER_S.get(code, LASTING_S):
                continue
            if code not in self.standing:
                began.append(fault)
            self.standing[code] = fault
        return began
