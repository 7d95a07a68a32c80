"""Rate limits in the memory of this process: for the embedded default, and while Redis does not answer.

The contract tests for them and for those in Redis are the same.
"""

from threading import Lock
from typing import Final

from webhookd import clock
from webhookd.clock import Monotonic
from webhookd.flow.access.rate_limit import Allowance, Rate, take

MOST_SUBJECTS: Final = 50_000
"""About 10 MB. Beyond it the subjects whose buckets are the fullest are forgotten."""


class MemoryRateLimits:
    """One bucket for each subject that is not full; any thread."""

    def __init__(self, monotonic: Monotonic = clock.monotonic, *, most_subjects: int = MOST_SUBJECTS) -> None:
        self._monotonic = monotonic
        self._most_subjects = most_subjects
        self._lock = Lock()
        self._full_at: dict[str, float] = {}

    def take(self, subject: str, rate: Rate) -> Allowance:
        """Count one request of this subject."""
        with self._lock:
            now = self._monotonic()
            if subject not in self._full_at and len(self._full_at) >= self._most_subjects:
                self._forget(now)
            self._full_at[subject], answer = take(rate, self._full_at.get(subject, now), now)
            return answer

    def close(self) -> None:
        """Do nothing: there is no connection."""

    def _forget(self, now: float) -> None:
        """Forget full buckets, which changes nothing; and of the others the fuller half if there are too many."""
        kept = sorted((item for item in self._full_at.items() if item[1] > now), key=lambda item: item[1])
        self._full_at = dict(kept[-(self._most_subjects // 2) :])
