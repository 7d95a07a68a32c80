"""Turns the text of an environment variable into what the type of its setting takes.

type           text                                    value
list           empty                                   no items
               `a,b`                                   its parts, without the spaces around them
               `["a","b"]`                             JSON
map            empty                                   no entries
               `a=1,b=2`                               its parts; the value ends at the comma
               `{"a":"1","b":2}`                       JSON; numbers and booleans become text
one of a few   any case                                lower case
text           any                                     itself
others         empty, when the setting may be not set  None
               empty, when it may not                  refused
"""

import json
from collections.abc import Mapping
from types import NoneType
from typing import TypeVar, get_args

from webhookd.configuration.forms import is_choice, is_list, is_map, is_number, is_union, kind_of

EMPTY = "is empty"

Value = TypeVar("Value")


def value_of(text: str, annotation: object) -> object:
    """Return the value in the text. Raises ValueError with a reason that repeats nothing of the text."""
    kind = kind_of(annotation)
    if is_list(kind):
        return _items(text)
    if is_map(kind):
        return _entries(text)
    if not text and is_union(annotation) and NoneType in get_args(annotation):
        return None
    if not text and (is_number(kind) or is_choice(kind) or kind is bool):
        raise ValueError(EMPTY)
    return text.strip().lower() if is_choice(kind) else text


def _items(text: str) -> tuple[object, ...]:
    if not text.lstrip().startswith("["):
        return tuple(item for part in text.split(",") if (item := part.strip()))
    found = _json(text)
    if not isinstance(found, list):
        raise ValueError("is not a JSON list")  # noqa: TRY004  # pydantic turns only ValueError into its own error
    return tuple(found)


def _entries(text: str) -> dict[str, str]:
    if text.lstrip().startswith("{"):
        return _texts(_json(text))
    pairs = []
    for part in filter(None, map(str.strip, text.split(","))):
        name, equals, value = map(str.strip, part.partition("="))
        if not name or not equals:
            raise ValueError("has a part that is not `name=value` (a value that contains a comma needs JSON)")
        pairs.append((name, value))
    return _unique(pairs)


def _texts(found: object) -> dict[str, str]:
    if not isinstance(found, Mapping):
        raise ValueError("is not a JSON object")  # noqa: TRY004  # as above
    if any(not isinstance(value, str | int | float) for value in found.values()):
        raise ValueError("has a value that is neither a text nor a number nor a boolean")
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in found.items()}


def _json(text: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON at character {error.pos + 1} ({error.msg})") from None


def _unique(pairs: list[tuple[str, Value]]) -> dict[str, Value]:
    names = [name for name, _ in pairs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"has the name {twice} more than once")
    return dict(pairs)
