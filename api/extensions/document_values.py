"""Walks over a JSON document, with bounds: how deep it may be nested, and how many values it may have."""

from collections.abc import Iterator, Sequence
from typing import Final

from api.extensions.error_responses import InvalidDocument, NotJson
from api.extensions.problem import FieldError

LEVELS: Final = 64
"""How deep objects and lists may be in each other; a subscription has 5 levels."""
VALUES: Final = 20_000
"""How many values a document may have; a subscription with everything at its limit has less than half of it."""

Parts = tuple[object, ...]
"""The names and indexes that lead to a value."""


def path_of(parts: Sequence[object]) -> str:
    """The way to a value as people write it: `source[0].topic`."""
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return path.removeprefix(".")


def strings(document: object) -> Iterator[tuple[Parts, str]]:
    """Every string in the document with the way to it, names included.

    Raises NotJson for one that is nested too deeply, InvalidDocument for one with too many values. It is not recursive,
    since it must survive any nesting.
    """
    waiting: list[tuple[Parts, object]] = [((), document)]
    seen = 1
    while waiting:
        parts, value = waiting.pop()
        inner = list(_inner(value))
        seen += len(inner)
        if seen > VALUES:
            raise InvalidDocument([FieldError("", f"the body has more than {VALUES} values")])
        if isinstance(value, (list, dict)) and len(parts) >= LEVELS:
            raise NotJson(f"The body is nested more than {LEVELS} levels deep.")
        if isinstance(value, str):
            yield parts, value
        if isinstance(value, dict):
            yield from (((*parts, name), name) for name in value)
        waiting.extend(((*parts, key), item) for key, item in inner)


def _inner(value: object) -> Iterator[tuple[object, object]]:
    if isinstance(value, list):
        yield from enumerate(value)
    elif isinstance(value, dict):
        yield from value.items()
