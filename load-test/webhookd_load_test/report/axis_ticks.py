"""The marks of an axis: round numbers, or times that people count in."""

import math
from itertools import count
from typing import NamedTuple

TIME_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400)
ROUND = (1.0, 2.0, 5.0, 10.0)
DECADES = 9
"""How many decades a logarithmic axis has at most; what is below is drawn at its lower end."""


class Axis(NamedTuple):
    """Where an axis begins and ends, and the values of its marks."""

    low: float
    high: float
    marks: list[float]


def step(high: float, most: int, *, whole: bool = False) -> float:
    """The least of 1, 2, 5 × 10^n that leaves at most so many steps between 0 and `high`, which is above 0.

    `whole` steps are at least 1: half a record does not exist.
    """
    power = 10.0 ** math.floor(math.log10(high / most))
    found = next(factor * power for factor in ROUND if factor * power * most >= high * (1 - 1e-9))
    return max(found, 1.0) if whole else found


def linear(high: float, most: int, *, whole: bool = False) -> Axis:
    """An axis from 0 to the first mark that is not below `high`, with at most `most` + 1 marks; 0 to 1 for nothing."""
    if not high > 0:
        return Axis(0.0, 1.0, [0.0, 1.0])
    size = step(high, most, whole=whole)
    marks = [number * size for number in range(math.ceil(high / size * (1 - 1e-9)) + 1)]
    return Axis(0.0, marks[-1], marks)


def logarithmic(low: float, high: float, most: int) -> Axis:
    """An axis around `low` and `high`, which are above 0, from one to another of 1, 2, 5 × 10^n.

    All of these are marks, or the powers of ten alone, or some of those, so that there are at most `most`.
    """
    last = math.ceil(math.log10(high) - 1e-9)
    first = max(math.floor(math.log10(low) + 1e-9), last - DECADES)
    round_ones = [factor * 10.0**power for power in range(first, last + 1) for factor in ROUND[:3]]
    begin = max((mark for mark in round_ones if mark <= low * (1 + 1e-9)), default=round_ones[0])
    end = next(mark for mark in round_ones if mark >= high * (1 - 1e-9) and mark > begin)
    marks = [mark for mark in round_ones if begin <= mark <= end]
    if len(marks) > most:
        powers = [10.0**power for power in range(first, last + 1) if begin <= 10.0**power <= end]
        marks = powers[:: math.ceil(len(powers) / most)]
    return Axis(begin, end, marks)


def times(end_s: float, most: int) -> list[float]:
    """Marks from 0 to the last one that is not above `end_s`, at most `most` + 1."""
    longer = (TIME_STEPS_S[-1] * factor for factor in count(2))
    size = next(one for many in (TIME_STEPS_S, longer) for one in many if one * most >= end_s)
    return [float(at_s) for at_s in range(0, math.floor(end_s) + 1, size)]
