"""Splits JSON text that msgspec refuses, such as an escape of half a surrogate pair, into members or elements.

The text was validated before. Python's `json` finds where a value ends.
"""

import json
import re

from msgspec import Raw

_SPACE = re.compile(r"[ \t\n\r]*")
_value_at = json.JSONDecoder().raw_decode


def members(text: str) -> dict[str, Raw] | None:
    """The members of an object in their order; None for another value."""
    at = _after_space(text, 0)
    if text[at] != "{":
        return None
    found: dict[str, Raw] = {}
    at = _after_space(text, at + 1)
    while text[at] != "}":
        name, at = _value_at(text, at)
        begin = _after_space(text, _after_space(text, at) + 1)
        found[name], at = _value(text, begin)
    return found


def elements(text: str) -> list[Raw] | None:
    """The elements of an array; None for another value."""
    at = _after_space(text, 0)
    if text[at] != "[":
        return None
    found: list[Raw] = []
    at = _after_space(text, at + 1)
    while text[at] != "]":
        element, at = _value(text, at)
        found.append(element)
    return found


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _value(text: str, begin: int) -> tuple[Raw, int]:
    """The value that begins here, and where the next member or the closing bracket begins."""
    _, end = _value_at(text, begin)
    at = _after_space(text, end)
    if text[at] == ",":
        at = _after_space(text, at + 1)
    return Raw(text[begin:end].encode()), at
