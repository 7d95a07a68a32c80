"""The paths of a projection: `customer.address.city`, `items[].price`, `"order id"`, `@key`, `@headers.trace-id`.

    path        what it names
    name        the member of an object; a name with a dot, a bracket, a quote or a space is a JSON string: "a.b"
    a.b         the member `b` of the member `a`
    a[]         each element of the array `a`; `[]` alone: each element of the value
    @value      the whole value; `@value.a` is the same as `a`
    @key        the key of the record
    @headers    all headers of the record
    @headers.a  the headers with this name

The first name `@key`, `@headers` or `@value` has this meaning with and without quotes; a member of the value that has
such a name is `@value."@key"`.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from webhookd.errors import InvalidInput

KEY: Final = "@key"
HEADERS: Final = "@headers"
VALUE: Final = "@value"
RESERVED: Final = frozenset({KEY, HEADERS, VALUE})

PATHS: Final = 100
"""The most paths of a projection. Each costs time on every record that has its member."""

PATH_CHARACTERS: Final = 500
STEPS: Final = 32
"""The most steps of a path: as deep as an expression may nest."""

_ELEMENTS = "[]"
_STEP = re.compile(r'(?P<elements>\[\])|(?P<dot>\.)?(?:(?P<quoted>"(?:[^"\\]|\\.)*")|(?P<name>[^\s."\[\]*]+))')


@dataclass(slots=True)
class PathTree:
    """The paths that begin at one value: `whole` if one of them ends there."""

    whole: bool = False
    members: dict[str, "PathTree"] = field(default_factory=dict)
    elements: "PathTree | None" = None

    @property
    def empty(self) -> bool:
        """Whether no path begins here."""
        return not (self.whole or self.members or self.elements)

    def add(self, steps: Sequence["_Step"]) -> None:
        """Add a path that begins here. A path through a value that another path names as a whole adds nothing."""
        below = self
        for step in steps:
            below = below._next(step)
        below.whole = True

    def _next(self, step: "_Step") -> "PathTree":
        if step.elements:
            self.elements = self.elements or PathTree()
            return self.elements
        return self.members.setdefault(step.name, PathTree())


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordPaths:
    """What paths name of a record: of its value, its key, and its headers (None: all of them)."""

    value: PathTree
    key: bool
    headers: frozenset[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """One step of a path: the member `name`, or each element."""

    name: str = ""
    elements: bool = False


def parse_paths(paths: Sequence[str]) -> RecordPaths:
    """Parse the paths of a projection. Raises InvalidInput, whose field is the path's index in brackets, or empty."""
    if not paths:
        raise InvalidInput("has no path: write at least one")
    if len(paths) > PATHS:
        raise InvalidInput(f"has {len(paths)} paths, more than {PATHS}")
    value, headers = PathTree(), set[str]()
    key = all_headers = False
    for number, path in enumerate(paths):
        steps = _parsed(path, f"[{number}]")
        first, *others = steps
        if first.name == KEY:
            key = True
        elif first.name == HEADERS and others:
            headers.add(others[0].name)
        elif first.name == HEADERS:
            all_headers = True
        else:
            value.add(others if first.name == VALUE else steps)
    return RecordPaths(value=value, key=key, headers=None if all_headers else frozenset(headers))


def _parsed(path: str, field_: str) -> list[_Step]:
    if len(path) > PATH_CHARACTERS:
        raise InvalidInput(f"is longer than {PATH_CHARACTERS} characters", field=field_)
    steps = list(_steps(path, field_))
    if not steps:
        raise InvalidInput("is empty: write the path of a member, for instance customer.email", field=field_)
    if len(steps) > STEPS:
        raise InvalidInput(f"has more than {STEPS} steps", field=field_)
    if (steps[0].name == KEY and len(steps) > 1) or (steps[0].name == HEADERS and len(steps) > 2):
        raise InvalidInput("goes into the key or into a header: they are seen as a whole or not at all", field=field_)
    if steps[0].name == HEADERS and any(step.elements for step in steps):
        raise InvalidInput("has [] after @headers: write @headers for all of them, or @headers.name", field=field_)
    return steps


def _steps(path: str, field_: str) -> Iterable[_Step]:
    at = 0
    while at < len(path):
        found = _STEP.match(path, at)
        dotted = found is not None and (found["elements"] or bool(found["dot"]) == (at > 0))
        if found is None or not dotted:
            raise InvalidInput(_mend(path, at), field=field_)
        yield _step(found, field_)
        at = found.end()


def _step(found: "re.Match[str]", field_: str) -> _Step:
    if found["elements"]:
        return _Step(elements=True)
    if found["quoted"] is None:
        return _Step(name=found["name"])
    try:
        return _Step(name=json.loads(found["quoted"]))
    except ValueError as error:
        raise InvalidInput(f"has {found['quoted']}, which is not a JSON string", field=field_) from error


def _mend(path: str, at: int) -> str:
    if path[at] == "[":
        return f"has a bracket at character {at}: only [] is possible, which means each element"
    if "*" in path[at:]:
        return f'has a * at character {at}: write [] for each element, or quotes for a name with a *: "a*"'
    return f"cannot be read at character {at}: write names with dots between them, for instance items[].price"
