"""The events of a run on the time axis: numbered badges that never cover each other."""

from collections.abc import Sequence
from dataclasses import dataclass

from webhookd_load_test.report.canvas import Canvas
from webhookd_load_test.report.time_series import since
from webhookd_load_test.run_folder.facts import Event

DIGIT_PX = 6.5
PADDING_PX = 9.0
APART_PX = 2.0


@dataclass(frozen=True, slots=True)
class Mark:
    """An event with its number, from 1, and its seconds since the load began."""

    number: int
    at_s: float
    until_s: float
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Span:
    """Where an event is drawn: a line, and a band when it took time."""

    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Badge:
    """The numbers of one event, or of several that are too near to each other; `x` is its middle."""

    x: float
    first: int
    last: int

    @property
    def text(self) -> str:
        """The number, or the first and the last one."""
        return str(self.first) if self.first == self.last else f"{self.first}–{self.last}"

    @property
    def width(self) -> float:
        """How wide the badge is drawn."""
        return badge_width(self.text)


def marks(events: Sequence[Event], began_ns: int) -> list[Mark]:
    """The marks of events that are in the order of their times."""
    return [
        Mark(
            number,
            since(began_ns, event.at_ns),
            since(began_ns, max(event.until_ns, event.at_ns)),
            event.kind,
            event.text,
        )
        for number, event in enumerate(events, 1)
    ]


def spans(all_marks: Sequence[Mark], canvas: Canvas, end_s: float) -> list[Span]:
    """Where the events are drawn."""
    scale = canvas.time_scale(end_s)
    return [Span(scale(mark.at_s), scale(mark.until_s) - scale(mark.at_s)) for mark in all_marks]


def badges(all_marks: Sequence[Mark], canvas: Canvas, end_s: float) -> list[Badge]:
    """The badges: those that would touch become one."""
    scale = canvas.time_scale(end_s)
    found: list[Badge] = []
    for mark in all_marks:
        found.append(_inside(canvas, Badge(scale(mark.at_s), mark.number, mark.number)))
        while len(found) > 1 and _touch(found[-2], found[-1]):
            last, before = found.pop(), found.pop()
            found.append(_inside(canvas, Badge((before.x + last.x) / 2, before.first, last.last)))
    return found


def badge_width(text: str) -> float:
    """How wide a badge with that text is."""
    return len(text) * DIGIT_PX + PADDING_PX


def _touch(left: Badge, right: Badge) -> bool:
    return right.x - right.width / 2 < left.x + left.width / 2 + APART_PX


def _inside(canvas: Canvas, badge: Badge) -> Badge:
    half = badge.width / 2
    return Badge(min(max(badge.x, canvas.left + half), canvas.end_x - half), badge.first, badge.last)
