"""Where a value is drawn on an axis."""

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Puts `low` at the pixel `begin`, and `high` at `end`. Values outside are drawn at the nearer end."""

    low: float
    high: float
    begin: float
    end: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        """The pixel of the value; always a finite number."""
        if not value > self.low:
            return self.begin
        if value >= self.high:
            return self.end
        share = self._share(value)
        return self.begin + (self.end - self.begin) * share

    def _share(self, value: float) -> float:
        if self.logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def spans_factor(values: Iterable[float], *, factor: float) -> bool:
    """Whether the largest value is so many times the least that is above 0."""
    positive = [value for value in values if value > 0]
    return bool(positive) and max(positive) >= factor * min(positive)
