"""Why a subscription delivers less than it should: each cause by its code, with what ends it.

kind       causes                                                          ends
delivery   the endpoint's failure codes, worker_lost, records_lost         with the next delivery
standing   what lasts whatever the endpoint answers: topic_missing, …      when whoever raised it sees that it is over

A subscription is unhealthy while it has a problem. Its reason is the code of the standing problem that began first,
and that of the delivery problem where there is none.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One cause: `code` is its one short word, `detail` is for people, `since` seconds since the epoch."""

    code: str
    detail: str = ""
    since: float = 0.0
    standing: bool = False


class Problems:
    """The problems of one subscription; owned by the ingest loop's thread."""

    def __init__(self, known: Iterable[Problem] = ()) -> None:
        problems = list(known)
        self._standing = {problem.code: problem for problem in problems if problem.standing}
        self._delivery = next((problem for problem in problems if not problem.standing), None)

    def __contains__(self, code: object) -> bool:
        """Whether a standing problem has this code."""
        return code in self._standing

    def detail_of(self, code: str) -> str:
        """What is told of the standing problem with this code; empty when there is none."""
        known = self._standing.get(code)
        return known.detail if known else ""

    @property
    def all(self) -> tuple[Problem, ...]:
        """Every problem; the first one gives the reason."""
        standing = sorted(self._standing.values(), key=lambda problem: problem.since)
        return (*standing, *((self._delivery,) if self._delivery else ()))

    @property
    def reason(self) -> str:
        """The code to show; empty when there is no problem."""
        return self.all[0].code if self.all else ""

    def begin(self, problem: Problem) -> bool:
        """Add a problem, or give the one with its code another detail; returns whether anything changed."""
        known = self._standing.get(problem.code) if problem.standing else self._delivery
        if known is not None and known.code == problem.code:
            problem = replace(problem, since=known.since)
        if known == problem:
            return False
        if problem.standing:
            self._standing[problem.code] = problem
        else:
            self._delivery = problem
        return True

    def end(self, code: str) -> bool:
        """The standing problem with this code is over; returns whether there was one."""
        return self._standing.pop(code, None) is not None

    def delivered(self) -> bool:
        """A delivery succeeded; returns whether that ended a problem."""
        ended, self._delivery = self._delivery, None
        return ended is not None
