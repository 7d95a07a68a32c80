"""The problems of a subscription: why it delivers less than it should.

kind       causes                                                            ends
delivery   the endpoint's failure codes, worker_lost, records_lost           with the next successful delivery; after a
                                                                             change of process also when no lane fails
standing   not the endpoint: topic_missing, …                                when the check that began it ends it

A subscription is unhealthy while it has a problem. Its reason is the code of the oldest standing problem, or of the
delivery problem where there is no standing one.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One problem: `code` identifies it, `detail` is text for people, `since` is seconds since the epoch."""

    code: str
    detail: str = ""
    since: float = 0.0
    standing: bool = False


class Problems:
    """The problems of one subscription; owned by the ingest loop's thread."""

    def __init__(self, previous: Iterable[Problem] = ()) -> None:
        problems = list(previous)
        self._standing = {problem.code: problem for problem in problems if problem.standing}
        self._delivery = next((problem for problem in problems if not problem.standing), None)

    def __bool__(self) -> bool:
        """Return whether there is any problem."""
        return bool(self._standing) or self._delivery is not None

    def __contains__(self, code: object) -> bool:
        """Return whether there is a standing problem with this code."""
        return code in self._standing

    def detail_of(self, code: str) -> str:
        """Return the detail of the standing problem with this code; empty when there is none."""
        known = self._standing.get(code)
        return known.detail if known else ""

    @property
    def all(self) -> tuple[Problem, ...]:
        """All problems; the code of the first one is the reason."""
        standing = sorted(self._standing.values(), key=lambda problem: problem.since)
        return (*standing, *((self._delivery,) if self._delivery else ()))

    @property
    def delivery_code(self) -> str:
        """The code of the delivery problem; empty when there is none."""
        return self._delivery.code if self._delivery else ""

    @property
    def reason(self) -> str:
        """The code of the problem that is shown; empty when there is none."""
        return self.all[0].code if self.all else ""

    def begin(self, problem: Problem) -> bool:
        """Add a problem, or change the detail of the problem with its code; return whether anything changed."""
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
        """End the standing problem with this code; return whether there was one."""
        return self._standing.pop(code, None) is not None

    def delivered(self) -> bool:
        """End the delivery problem after a successful delivery; return whether there was one."""
        ended, self._delivery = self._delivery, None
        return ended is not None
