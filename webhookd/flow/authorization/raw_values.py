"""Keeps or cuts members of a JSON value: what stays is copied byte for byte, so that numbers and strings are the same.

A value is split one level at a time. Only the levels that a path goes through are split; spaces between their members
are left out, and their names are written in their shortest form.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Raw

NULL: Final = Raw(b"null")
NOTHING: Final = Raw(b"[]")

_SPACE = re.compile(r"[ \t\n\r]*")

_split_object = msgspec.json.Decoder(dict[str, Raw]).decode
_split_array = msgspec.json.Decoder(list[Raw]).decode
_encode = msgspec.json.Encoder().encode
_value_at = json.JSONDecoder().raw_decode


def members(value: Raw) -> dict[str, Raw] | None:
    """The members of an object in their order; None for another value. The value must be JSON without duplicates."""
    try:
        return _split_object(value)
    except msgspec.ValidationError:
        return None
    except msgspec.DecodeError:  # it refuses escapes of half a surrogate pair, which are JSON
        return _scanned_members(_text(value))


def elements(value: Raw) -> list[Raw] | None:
    """The elements of an array; None for another value. The value must be JSON."""
    try:
        return _split_array(value)
    except msgspec.ValidationError:
        return None
    except msgspec.DecodeError:
        return _scanned_elements(_text(value))


def joined_members(parts: Mapping[str, Raw]) -> Raw:
    """The object with these members."""
    try:
        return Raw(_encode(parts))
    except UnicodeEncodeError:  # a name with half a surrogate pair
        pairs = [b"%b:%b" % (json.dumps(name).encode(), bytes(part)) for name, part in parts.items()]
        return Raw(b"{" + b",".join(pairs) + b"}")


def joined_elements(parts: Sequence[Raw]) -> Raw:
    """The array of these elements."""
    return Raw(_encode(parts))


def is_null(value: Raw) -> bool:
    """Whether the value is null."""
    return bytes(value).strip() == b"null"


def _text(value: Raw) -> str:
    return bytes(value).decode().strip(" \t\n\r")


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _scanned_members(text: str) -> dict[str, Raw] | None:
    if not text.startswith("{"):
        return None
    found: dict[str, Raw] = {}
    at = _after_space(text, 1)
    while text[at] != "}":
        name, at = _value_at(text, at)
        begin = _after_space(text, _after_space(text, at) + 1)
        found[name], at = _scanned_value(text, begin)
    return found


def _scanned_elements(text: str) -> list[Raw] | None:
    if not text.startswith("["):
        return None
    found: list[Raw] = []
    at = _after_space(text, 1)
    while text[at] != "]":
        element, at = _scanned_value(text, at)
        found.append(element)
    return found


def _scanned_value(text: str, begin: int) -> tuple[Raw, int]:
    """The value that begins here, and where the next member or the closing bracket begins."""
    _, end = _value_at(text, begin)
    at = _after_space(text, end)
    if text[at] == ",":
        at = _after_space(text, at + 1)
    return Raw(text[begin:end].encode()), at
