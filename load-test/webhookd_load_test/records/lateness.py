"""How late records are: percentiles of any number of values, in little memory."""

import math
from collections import Counter

STEP = 1.02
"""Each class of values ends 2 % above where it begins, so a percentile is at most that much too large."""

SMALLEST_MS = 0.1
"""All values up to this are in one class."""


class Lateness:
    """Collects values in milliseconds; negative ones count as 0."""

    def __init__(self) -> None:
        self.max_ms = 0.0
        self.last_ms = 0.0
        self._count = 0
        self._classes: Counter[int] = Counter()

    def add(self, late_ms: float) -> None:
        """Add a value."""
        self.last_ms = max(late_ms, 0.0)
        self.max_ms = max(self.max_ms, late_ms)
        self._count += 1
        self._classes[_class_of(late_ms)] += 1

    def percentile_ms(self, share: float) -> float:
        """Return the value that this share of all is not above; 0 without any."""
        wanted, seen = share * self._count, 0
        for number in sorted(self._classes):
            seen += self._classes[number]
            if seen >= wanted:
                return min(SMALLEST_MS * STEP**number, self.max_ms)
        return self.max_ms


def _class_of(late_ms: float) -> int:
    return 0 if late_ms <= SMALLEST_MS else math.ceil(math.log(late_ms / SMALLEST_MS, STEP))
