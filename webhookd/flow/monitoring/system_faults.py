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

FAULT_AFTER_S = 5.0
FAULT_AFTER_BY_CODE_S = {NoWorkers.code: 15.0}


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
        self.active: dict[str, SystemFault] = {}
        """The faults that are, by code."""
        self.healthy_codes: frozenset[str] = frozenset()
        """The codes that were well at the last look that asked."""

    def observe(self, answers: Mapping[str, str | None], now: float) -> FaultChanges:
        """Take the answers of one look: by code what is wrong, None where all is well."""
        healthy_codes = {code for code, detail in answers.items() if detail is None}
        ended = tuple(fault for code, fault in self.active.items() if code in healthy_codes)
        for code in healthy_codes:
            self._failing.pop(code, None)
            self.active.pop(code, None)
        self.healthy_codes = (self.healthy_codes - answers.keys()) | healthy_codes
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
            if now - since < FAULT_AFTER_BY_CODE_S.get(code, FAULT_AFTER_S):
                continue
            if code not in self.active:
                began.append(fault)
            self.active[code] = fault
        return began
