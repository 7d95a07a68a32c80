"""The texts of a run's events above its plots, in as many rows as it takes that none covers another."""

from collections.abc import Sequence
from dataclasses import dataclass

from webhookd_load_test.report.canvas import Canvas
from webhookd_load_test.report.event_marks import Mark, Span, badge_width, spans
from webhookd_load_test.report.text_width import cut, width

FONT_PX = 12.0
ROW_PX = 22
GAP_PX = 12.0
SPACE_PX = 5.0
MOST_ROWS = 14
"""Labels that do not fit into so many rows are left out: the table has them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A badge, and the text right of it; left of it when there is more room."""

    mark: Mark
    badge_x: float
    badge_width: float
    text: str
    text_x: float
    leftwards: bool

    @property
    def edges(self) -> tuple[float, float]:
        """Where badge and text begin and end."""
        half, long = self.badge_width / 2, width(self.text, FONT_PX)
        if self.leftwards:
            return self.text_x - long, self.badge_x + half
        return self.badge_x - half, self.text_x + long


@dataclass(frozen=True, slots=True, kw_only=True)
class EventStrip:
    """The labels in their rows. `left_out` ones found no room."""

    canvas: Canvas
    rows: list[list[Label]]
    spans: list[Span]
    left_out: int

    @property
    def height(self) -> int:
        """The height of all rows."""
        return ROW_PX * len(self.rows)


def event_strip(marks: Sequence[Mark], canvas: Canvas, end_s: float) -> EventStrip:
    """Lay the labels out: each in the first row where it covers no other."""
    rows: list[list[Label]] = []
    left_out = 0
    for mark in marks:
        label = _label(mark, canvas, end_s)
        row = next((row for row in rows if not any(_touch(label, other) for other in row)), None)
        if row is not None:
            row.append(label)
        elif len(rows) < MOST_ROWS:
            rows.append([label])
        else:
            left_out += 1
    return EventStrip(canvas=canvas, rows=rows, spans=spans(marks, canvas, end_s), left_out=left_out)


def _label(mark: Mark, canvas: Canvas, end_s: float) -> Label:
    wide = badge_width(str(mark.number))
    x = min(max(canvas.time_scale(end_s)(mark.at_s), wide / 2), canvas.width - wide / 2)
    away = wide / 2 + SPACE_PX
    room_right, room_left = canvas.width - x - away, x - away
    leftwards = width(mark.text, FONT_PX) > room_right and room_left > room_right
    return Label(
        mark=mark,
        badge_x=x,
        badge_width=wide,
        text=cut(mark.text, FONT_PX, room_left if leftwards else room_right),
        text_x=x - away if leftwards else x + away,
        leftwards=leftwards,
    )


def _touch(one: Label, other: Label) -> bool:
    (begin, end), (other_begin, other_end) = one.edges, other.edges
    return begin < other_end + GAP_PX and other_begin < end + GAP_PX
