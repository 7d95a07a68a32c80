"""Every log event of the sources, with its level and its places; and the rows of docs/reference/log-events.md.

An event is the first argument of a call on a logger: `_log.warning("store_unavailable", …)`. A choice between two
literals counts as both. The page is written by hand; tests/closure compares it with the calls. It also has the fields
of the line of a delivery.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from documentation.reference.markdown import rows

LEVELS: Final[Mapping[str, str]] = {
    "debug": "debug",
    "info": "info",
    "warning": "warning",
    "error": "error",
    "exception": "error",
    "critical": "critical",
}
"""By method of a logger: the level of its line."""

PACKAGES: Final = ("webhookd", "workers", "api", "command")


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """One call that logs; `event` is None when the source does not say which event it is."""

    event: str | None
    level: str
    place: str
    source: str
    code: str | None = None


def logged(root: Path) -> list[Logged]:
    """Every call of the packages that logs."""
    paths = [path for package in PACKAGES for path in sorted((root / package).rglob("*.py"))]
    return [found for path in paths for found in _calls(path, str(path.relative_to(root)))]


def levels(found: Iterable[Logged]) -> dict[str, set[str]]:
    """The levels of each event."""
    by_event: dict[str, set[str]] = {}
    for one in found:
        if one.event is not None:
            by_event.setdefault(one.event, set()).add(one.level)
    return by_event


def event_rows(page: str) -> list[list[str]]:
    """The page's rows of events."""
    return list(rows(page, "Event"))


def documented(page: str) -> dict[str, set[str]]:
    """The levels of each event as the page has them: its first two columns."""
    return {row[0].strip("`"): set(row[1].split(", ")) for row in event_rows(page)}


def line_fields(page: str, event: str) -> tuple[set[str], set[str]]:
    """The fields of a line of the delivery log, as the page has them: those always there, and those sometimes there."""
    always: set[str] = set()
    sometimes: set[str] = set()
    for names, where, _meaning in rows(page, "Field of the line"):
        fields = {name.strip("` ") for name in names.split(",")}
        if where == "some":
            sometimes |= fields
        elif where == "all" or f"`{event}`" in where:
            always |= fields
    return always, sometimes


def _calls(path: Path, place: str) -> Iterator[Logged]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and _logs(node.func):
            yield from _events(node, f"{place}:{node.lineno}")


def _logs(function: ast.expr) -> bool:
    """Whether this is a method of a logger: `_log.info`, or `logs.get(__name__).info`."""
    if not isinstance(function, ast.Attribute) or function.attr not in LEVELS:
        return False
    logger = function.value
    return ast.unparse(logger) in {"_log", "logs.get(__name__)"}


def _events(call: ast.Call, place: str) -> Iterator[Logged]:
    assert isinstance(call.func, ast.Attribute)  # noqa: S101  # as _logs has found
    level = LEVELS[call.func.attr]
    code = next((_literal(keyword.value) for keyword in call.keywords if keyword.arg == "code"), None)
    for choice in _choices(call.args[0] if call.args else ast.Constant(None)):
        yield Logged(event=_literal(choice), level=level, place=place, source=ast.unparse(call), code=code)


def _choices(argument: ast.expr) -> list[ast.expr]:
    return [argument.body, argument.orelse] if isinstance(argument, ast.IfExp) else [argument]


def _literal(value: ast.expr) -> str | None:
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else None
