"""Turns the text of an environment variable into what the type of its setting takes.

type           text                                    value
list           empty                                   no items
               `a,b`                                   its parts, without the spaces around them
               `["a","b"]`                             JSON
one of a few   any case                                lower case
text           any                                     itself
others         empty, when the setting may be not set  None
               empty, when it may not                  refused
"""

import json
from types import NoneType
from typing import get_args

from webhookd.configuration.forms import is_choice, is_list, is_number, is_union, kind_of

EMPTY = "is empty"


def value_of(text: str, annotation: object) -> object:
    """Return the value in the text. Raises ValueError with a reason that repeats nothing of the text."""
    kind = kind_of(annotation)
    if is_list(kind):
        return _items(text)
    if not text and is_union(annotation) and NoneType in get_args(annotation):
        return None
    if not text and (is_number(kind) or is_choice(kind) or kind is bool):
        raise ValueError(EMPTY)
    return text.strip().lower() if is_choice(kind) else text


def _items(text: str) -> tuple[object, ...]:
    if not text.lstrip().startswith("["):
        return tuple(item for part in text.split(",") if (item := part.strip()))
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON at character {error.pos + 1} ({error.msg})") from None
    return tuple(found)
