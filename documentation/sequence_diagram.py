"""Draws a ```mermaid block that holds a sequence diagram as SVG, when the site is built.

No script runs when the page is opened. The colours are the site's CSS variables, so one drawing serves the light and
the dark scheme. This part of Mermaid's language is known, and every other line is an error:

    sequenceDiagram
    participant K as Kafka
    K->>I: a message                (-->> draws a dashed line; the same name twice draws a loop)
    Note over K,I: a remark
    alt one case                    (also: opt, loop; `else another case`; `end`)
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from typing import Any, Final

CHARACTER: Final = 6.7
"""Width of an average character of 13 px, generously: text must not be cut."""
MARGIN: Final = 12.0
HEAD: Final = 34.0
ROW: Final = 42.0
GAP: Final = 90.0
"""The smallest distance between two lifelines."""

_PARTICIPANT = re.compile(r"participant (\w+) as (.+)")
_MESSAGE = re.compile(r"(\w+)(--?)>>(\w+): (.+)")
_NOTE = re.compile(r"Note over (\w+)(?:,(\w+))?: (.+)")
_FRAME = re.compile(r"(alt|opt|loop|else) (.+)")


class UnknownLine(ValueError):
    """A line that is not in the part of Mermaid's language that is drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One row: a message, a note, or the edge of a frame; `kind` is message, note, alt, opt, loop, else or end."""

    kind: str
    text: str = ""
    first: str = ""
    last: str = ""
    dashed: bool = False


@dataclass(slots=True, kw_only=True)
class Diagram:
    """Participants in their order, name to label, and the rows."""

    participants: dict[str, str] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)


def fence(
    source: str, _language: str, _class: str, _options: dict[str, Any], _markdown: object, **_more: object
) -> str:
    """The formatter that pymdownx.superfences calls for a block."""
    return f'<div class="sequence">{draw(parse(source))}</div>'


def parse(source: str) -> Diagram:
    """The diagram of a block; raises UnknownLine."""
    diagram = Diagram()
    lines = [line.strip() for line in source.splitlines() if line.strip()]
    if lines[:1] != ["sequenceDiagram"]:
        raise UnknownLine("only sequence diagrams are drawn")
    for line in lines[1:]:
        if found := _PARTICIPANT.fullmatch(line):
            diagram.participants[found[1]] = found[2]
        else:
            diagram.steps.append(_step(line))
    unknown = {name for step in diagram.steps for name in (step.first, step.last) if name} - diagram.participants.keys()
    if unknown:
        raise UnknownLine(f"not a participant: {', '.join(sorted(unknown))}")
    return diagram


def _step(line: str) -> Step:
    if found := _MESSAGE.fullmatch(line):
        return Step(kind="message", text=found[4], first=found[1], last=found[3], dashed=found[2] == "--")
    if found := _NOTE.fullmatch(line):
        return Step(kind="note", text=found[3], first=found[1], last=found[2] or found[1])
    if found := _FRAME.fullmatch(line):
        return Step(kind=found[1], text=found[2])
    if line == "end":
        return Step(kind="end")
    raise UnknownLine(line)


def draw(diagram: Diagram) -> str:
    """The diagram as an SVG element, one line for each of its parts."""
    columns = _columns(diagram)
    width = _width(diagram, columns)
    height = HEAD + ROW * (len(diagram.steps) + 1)
    names = escape(", ".join(diagram.participants.values()))
    parts = [
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}" role="img" '
        f'aria-label="Sequence diagram: {names}">',
        *[_lifeline(x, height) for x in columns.values()],
        *[_head(label, columns[name]) for name, label in diagram.participants.items()],
        *_rows(diagram, columns, width),
        "</svg>",
    ]
    return "\n".join(parts)


def _lifeline(x: float, height: float) -> str:
    return f'<line class="life" x1="{x:.0f}" y1="{HEAD:.0f}" x2="{x:.0f}" y2="{height - MARGIN:.0f}"/>'


def _columns(diagram: Diagram) -> dict[str, float]:
    """Where each lifeline stands: as near to the one before as the texts between them allow."""
    names = list(diagram.participants)
    at = dict.fromkeys(names, 0.0)
    left = MARGIN + _head_width(diagram.participants[names[0]]) / 2
    for index, name in enumerate(names):
        needed = [left] if index == 0 else [at[names[index - 1]] + _heads_apart(diagram, names[index - 1], name)]
        for step in diagram.steps:
            needed.extend(_room(step, name, names, at))
        at[name] = max(needed)
    return at


def _heads_apart(diagram: Diagram, one: str, other: str) -> float:
    labels = diagram.participants
    return max(GAP, (_head_width(labels[one]) + _head_width(labels[other])) / 2 + MARGIN)


def _room(step: Step, name: str, names: list[str], at: dict[str, float]) -> Iterator[float]:
    """How far right the lifeline `name` must stand for the text of a step that ends there, or loops just left of it."""
    if step.kind not in {"message", "note"}:
        return
    low, high = sorted((names.index(step.first), names.index(step.last)))
    if low != high and names[high] == name:
        yield at[names[low]] + _text_width(step.text) + 2 * MARGIN
    index = names.index(name)
    if low == high == index - 1:
        half = step.kind == "note"
        yield at[names[low]] + (_text_width(step.text) / (2 if half else 1)) + (GAP / 2 if half else 3 * MARGIN)


def _width(diagram: Diagram, columns: dict[str, float]) -> float:
    names = list(diagram.participants)
    right = columns[names[-1]] + _head_width(diagram.participants[names[-1]]) / 2
    ends = [right]
    for step in diagram.steps:
        if step.kind == "message" and step.first == step.last:
            ends.append(columns[step.first] + _text_width(step.text) + 3 * MARGIN)
        if step.kind == "note":
            ends.append(sum(_note_span(step, columns)))
    return max(ends) + MARGIN


def _rows(diagram: Diagram, columns: dict[str, float], width: float) -> Iterator[str]:
    opened: list[tuple[float, str]] = []
    for index, step in enumerate(diagram.steps):
        y = HEAD + ROW * (index + 1)
        match step.kind:
            case "message":
                yield _message(step, columns, y)
            case "note":
                yield _note(step, columns, y)
            case "end" | "else" if not opened:
                raise UnknownLine(f"{step.kind} without a frame")
            case "else":
                yield _divider(step, width, y)
            case "end":
                yield _frame(*opened.pop(), width, y, depth=len(opened))
            case _:
                opened.append((y, f"{step.kind}: {step.text}"))
    if opened:
        raise UnknownLine("a frame has no end")


def _head(label: str, x: float) -> str:
    width = _head_width(label)
    return (
        f'<rect class="head" x="{x - width / 2:.0f}" y="2" width="{width:.0f}" height="{HEAD - 6:.0f}" rx="4"/>'
        f'<text class="name" x="{x:.0f}" y="{HEAD / 2 + 3:.0f}">{escape(label)}</text>'
    )


def _message(step: Step, columns: dict[str, float], y: float) -> str:
    start, end = columns[step.first], columns[step.last]
    style = "message dashed" if step.dashed else "message"
    if start == end:
        return (
            f'<path class="{style}" d="M{start:.0f},{y - 8:.0f} h22 v14 h-16"/>{_arrow(start, y + 6, -1)}'
            f'<text class="side" x="{start + 30:.0f}" y="{y + 4:.0f}">{escape(step.text)}</text>'
        )
    towards = 1 if end > start else -1
    return (
        f'<line class="{style}" x1="{start:.0f}" y1="{y:.0f}" x2="{end - 6 * towards:.0f}" y2="{y:.0f}"/>'
        f"{_arrow(end, y, towards)}"
        f'<text x="{(start + end) / 2:.0f}" y="{y - 7:.0f}">{escape(step.text)}</text>'
    )


def _arrow(x: float, y: float, towards: int) -> str:
    back = x - 8 * towards
    return f'<path class="arrow" d="M{x:.0f},{y:.0f} L{back:.0f},{y - 4:.0f} L{back:.0f},{y + 4:.0f} z"/>'


def _note_span(step: Step, columns: dict[str, float]) -> tuple[float, float]:
    """The left edge of a note and its width."""
    start, end = sorted((columns[step.first], columns[step.last]))
    width = max(end - start + 3 * MARGIN, _text_width(step.text) + 2 * MARGIN)
    return max(2.0, (start + end - width) / 2), width


def _note(step: Step, columns: dict[str, float], y: float) -> str:
    left, width = _note_span(step, columns)
    return (
        f'<rect class="note" x="{left:.0f}" y="{y - 20:.0f}" width="{width:.0f}" height="26" rx="3"/>'
        f'<text x="{left + width / 2:.0f}" y="{y - 2:.0f}">{escape(step.text)}</text>'
    )


def _divider(step: Step, width: float, y: float) -> str:
    return (
        f'<line class="frame" x1="4" y1="{y - 14:.0f}" x2="{width - 4:.0f}" y2="{y - 14:.0f}"/>'
        f'<text class="case" x="12" y="{y + 4:.0f}">else: {escape(step.text)}</text>'
    )


def _frame(top: float, text: str, width: float, bottom: float, *, depth: int) -> str:
    inset = 4 + 5 * depth
    return (
        f'<rect class="frame" x="{inset}" y="{top - 18:.0f}" width="{width - 2 * inset:.0f}" '
        f'height="{bottom - top + 4:.0f}" rx="3"/>'
        f'<text class="case" x="{inset + 8}" y="{top:.0f}">{escape(text)}</text>'
    )


def _text_width(text: str) -> float:
    return len(text) * CHARACTER


def _head_width(label: str) -> float:
    return _text_width(label) + 2 * MARGIN
