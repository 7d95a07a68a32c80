"""Leaves out points that no eye could tell apart, and keeps every spike."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

Point = tuple[float, float]

COLUMN_PX = 2
"""How wide the columns of an envelope are."""


class Column(NamedTuple):
    """What lies in a column of pixels: the average place, and the lowest and highest one."""

    x: float
    average: float
    least: float
    greatest: float


def thinned(pixels: Iterable[Point]) -> Iterator[Point]:
    """Of each column of pixels the first, the least, the greatest and the last point, in their order."""
    for _, column in groupby(pixels, key=lambda point: int(point[0])):
        yield from _outermost(list(column))


def _outermost(column: Sequence[Point]) -> Iterator[Point]:
    heights = [y for _, y in column]
    kept = {0, heights.index(min(heights)), heights.index(max(heights)), len(column) - 1}
    yield from (column[place] for place in sorted(kept))


def enveloped(pixels: Iterable[Point]) -> Iterator[Column]:
    """The columns of a line that has many points in each."""
    for _, column in groupby(pixels, key=lambda point: int(point[0]) // COLUMN_PX):
        places, heights = zip(*column, strict=True)
        number = len(places)
        yield Column(sum(places) / number, sum(heights) / number, min(heights), max(heights))
