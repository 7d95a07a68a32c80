"""Turns a plot into coordinates: lines, marks of the axes, and names at the ends of the lines."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from webhookd_load_test.report import axis_ticks
from webhookd_load_test.report.axis_scale import Scale
from webhookd_load_test.report.canvas import Canvas
from webhookd_load_test.report.event_marks import Badge, Mark, Span, badges, spans
from webhookd_load_test.report.plot import Plot
from webhookd_load_test.report.text_width import cut, width
from webhookd_load_test.report.thinning import Column, Point, enveloped, thinned
from webhookd_load_test.report.time_series import Series

NAME_PX = 14.0
"""How far names at the ends of lines are apart."""

FONT_PX = 12.0
SWATCH_PX = 22.0
"""What a name's piece of line takes, left of the name."""

Y_MARKS = 5
LOGARITHMIC_Y_MARKS = 7
DENSE = 240
"""From so many points on, lines are drawn thin and without dashes, which nobody could see."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark of an axis. `label_at` is where the label has its middle: at the mark, or as near as there is room."""

    at: float
    label: str
    label_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A series. `path`, `area` and `envelope` are path data, which may be empty.

    `area` is what lies below the line; `envelope` what lies around it, when it is the average of many points.
    `name_y` is where its name stands; None without room.
    """

    slot: int
    name: str
    path: str
    area: str
    envelope: str
    name_y: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """Everything that is drawn of a plot on a canvas."""

    canvas: Canvas
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    lines: list[Line]
    spans: list[Span]
    badges: list[Badge]
    dense: bool


def drawing(plot: Plot, canvas: Canvas, end_s: float, marks: Sequence[Mark]) -> Drawing:
    """Draw a plot that has points."""
    time, axis = canvas.time_scale(end_s), _value_axis(plot)
    scale = Scale(low=axis.low, high=axis.high, begin=canvas.floor_y, end=canvas.top, logarithmic=axis.low > 0)
    return Drawing(
        canvas=canvas,
        x_ticks=[_time_tick(time(at_s), f"{at_s:,.0f} s", canvas) for at_s in axis_ticks.times(end_s, canvas.x_marks)],
        y_ticks=[Tick(scale(value), plot.label(value), scale(value)) for value in axis.marks],
        lines=_lines(plot, canvas, time, scale),
        spans=spans(marks, canvas, end_s),
        badges=badges(marks, canvas, end_s),
        dense=_dense(plot),
    )


def _time_tick(x: float, label: str, canvas: Canvas) -> Tick:
    return Tick(x, label, min(x, canvas.width - width(label, FONT_PX) / 2))


def _dense(plot: Plot) -> bool:
    return max(len(one.points) for one in plot.drawn) > DENSE


def _value_axis(plot: Plot) -> axis_ticks.Axis:
    positive = [value for value in plot.values if value >= axis_ticks.LEAST]
    if plot.logarithmic and positive:
        return axis_ticks.logarithmic(min(positive), max(positive), LOGARITHMIC_Y_MARKS)
    return axis_ticks.linear(max(plot.values), Y_MARKS, whole=plot.whole)


def _lines(plot: Plot, canvas: Canvas, time: Scale, scale: Scale) -> list[Line]:
    ends = [scale(one.parts[-1][-1][1]) if one.parts else canvas.floor_y for one in plot.series]
    names_y = spread(ends, NAME_PX, canvas.top, canvas.floor_y)
    enveloped = plot.noisy and _dense(plot)
    floor_y = canvas.floor_y if plot.filled else None
    return [
        Line(
            slot=slot,
            name=cut(one.name, FONT_PX, canvas.right - SWATCH_PX),
            name_y=name_y if canvas.names_lines else None,
            **(_enveloped(parts) if enveloped else _plain(parts, floor_y)),
        )
        for slot, (one, name_y) in enumerate(zip(plot.series, names_y, strict=True))
        if (parts := _pixels(one, time, scale))
    ]


class Paths(TypedDict):
    """The path data of a line."""

    path: str
    area: str
    envelope: str


def _pixels(series: Series, time: Scale, scale: Scale) -> list[list[Point]]:
    return [[(time(at_s), scale(value)) for at_s, value in part] for part in series.parts]


def _plain(parts: Sequence[Sequence[Point]], floor_y: float | None) -> Paths:
    kept = [list(thinned(part)) for part in parts]
    area = "" if floor_y is None else "".join(_area(part, floor_y) for part in kept)
    return Paths(path="".join(map(_path, kept)), area=area, envelope="")


def _enveloped(parts: Sequence[Sequence[Point]]) -> Paths:
    columns = [list(enveloped(part)) for part in parts]
    averages = ([(column.x, column.average) for column in part] for part in columns)
    return Paths(path="".join(map(_path, averages)), area="", envelope="".join(map(_around, columns)))


def _around(columns: Sequence[Column]) -> str:
    there = [(column.x, column.least) for column in columns]
    back = [(column.x, column.greatest) for column in reversed(columns)]
    return f"{_path([*there, *back])}Z"


def _path(pixels: Sequence[Point]) -> str:
    """Path data. A single point is a line of no length, which round line caps make a dot."""
    places = [f"{x:.1f},{y:.1f}" for x, y in pixels]
    return f"M{'L'.join(places)}" + ("h0" if len(places) == 1 else "")


def _area(pixels: Sequence[Point], floor_y: float) -> str:
    return f"{_path(pixels)}L{pixels[-1][0]:.1f},{floor_y}L{pixels[0][0]:.1f},{floor_y}Z"


def spread(wanted: Sequence[float], apart: float, top: float, bottom: float) -> list[float]:
    """Places near the wanted ones, in the same order, at least so far apart, from `top` to `bottom` if they fit."""
    order = sorted(range(len(wanted)), key=lambda place: wanted[place])
    found = list(wanted)
    lowest = top
    for place in order:
        found[place] = max(found[place], lowest)
        lowest = found[place] + apart
    highest = bottom
    for place in reversed(order):
        found[place] = min(found[place], highest)
        highest = found[place] - apart
    return found
