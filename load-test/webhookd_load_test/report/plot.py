"""One plot: its series, its unit, and what it says when there is nothing to draw."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from webhookd_load_test.report.axis_scale import spans_factor
from webhookd_load_test.report.time_series import Series

LOGARITHMIC_FROM_FACTOR = 50.0
"""From this factor between its least and its largest value on, a plot that may be logarithmic is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """`key` is unique in a report. `label` writes a value with its unit; `whole` values have no marks between them.

    `filled` ones have an area below the line; `noisy` ones with many points are averages with all values around them.
    `absent` is said instead of the drawing when there are no points.
    """

    key: str
    title: str
    about: str
    series: list[Series]
    label: Callable[[float], str]
    absent: str
    whole: bool = False
    filled: bool = False
    noisy: bool = False
    logarithmic: bool = False
    note: str = ""

    @property
    def values(self) -> list[float]:
        """All values."""
        return [value for one in self.series for _, value in one.points]

    @property
    def drawn(self) -> list[Series]:
        """The series that have points."""
        return [one for one in self.series if one.parts]


def peaks_differ(series: Iterable[Series]) -> bool:
    """Whether the highest peak would flatten the lowest to a line at the bottom."""
    return spans_factor(
        [max(value for _, value in one.points) for one in series if one.parts], factor=LOGARITHMIC_FROM_FACTOR
    )


def summary(series: Series, label: Callable[[float], str]) -> str:
    """The series in words, for people who do not see the drawing."""
    at_s, highest = max(series.points, key=lambda point: point[1])
    lowest = min(value for _, value in series.points)
    last = series.points[-1][1]
    return f"{series.name}: lowest {label(lowest)}, highest {label(highest)} at {at_s:,.0f} s, last {label(last)}."
