"""Which parts of the system are faulty, from checks of each part every few seconds.

result of the checks           meaning
healthy                        no fault; a fault that was reported is over
a failure, for less than 5 s   no fault yet: a lost packet, a restart (workers take longer to start: 15 s)
a failure, for longer          a fault, since the first failed check
none (it could not run)        the last state stays
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from webhookd.errors import NoWorkers

FAULT_AFTER_S = 5.0
FAULT_AFTER_BY_CODE_S = {NoWorkers.code: 15.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemFault:
    """A part that does not work: the code, the error, and since when (seconds since the epoch)."""

    code: str
    detail: str
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultChanges:
    """The faults that began or ended with a check."""

    began: tuple[SystemFault, ...] = ()
    ended: tuple[SystemFault, ...] = ()


class FaultTracker:
    """The state of the parts as one process sees it; `observe` must be called in the order of time."""

    def __init__(self) -> None:
        self._failing: dict[str, SystemFault] = {}
        self.active: dict[str, SystemFault] = {}
        """The current faults by code."""
        self.healthy_codes: frozenset[str] = frozenset()
        """The codes whose last completed check found no failure."""

    def observe(self, results: Mapping[str, str | None], now: float) -> FaultChanges:
        """Update the state from one check: by code the error, None where there is none. Return what has changed."""
        healthy_codes = {code for code, detail in results.items() if detail is None}
        ended = tuple(fault for code, fault in self.active.items() if code in healthy_codes)
        for code in healthy_codes:
            self._failing.pop(code, None)
            self.active.pop(code, None)
        self.healthy_codes = (self.healthy_codes - results.keys()) | healthy_codes
        return FaultChanges(began=tuple(self._lasting(results, now)), ended=ended)

    def _lasting(self, results: Mapping[str, str | None], now: float) -> list[SystemFault]:
        began = []
        for code, detail in results.items():
            if detail is None:
                continue
            first = self._failing.setdefault(code, SystemFault(code=code, detail=detail, since=now))
            # A clock that was set back must not delay the report of a fault.
            since = min(first.since, now)
            self._failing[code] = fault = replace(first, detail=detail, since=since)
            if now - since < FAULT_AFTER_BY_CODE_S.get(code, FAULT_AFTER_S):
                continue
            if code not in self.active:
                began.append(fault)
            self.active[code] = fault
        return began
