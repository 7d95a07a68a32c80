"""An error as the client gets it: a problem document of RFC 9457, in every answer of the API that is not a success.

    {"type": "/problems/invalid_input", "title": "The value is not valid", "status": 422,
     "detail": "The document cannot be accepted.", "code": "invalid_input",
     "errors": [{"field": "source[0].topic", "pointer": "/source/0/topic", "reason": "..."}]}

`type` is the path of a page of this API about the error; `code` is its last part, and the word in exception and log.
This module knows neither Flask nor gunicorn, since both of their errors become this document.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

MEDIA_TYPE: Final = "application/problem+json"
PAGES: Final = "/problems/"
"""The path of the pages about errors; a problem's `type` is this and its code (RFC 9457, section 3.1.1)."""
ERRORS_SHOWN: Final = 100
"""The most errors in one response; a large body can contain an error in every few bytes."""
TEXT_SHOWN: Final = 500
"""The most characters of a text; the name of an unknown field can be as long as the body."""

_PART: Final = re.compile(r"\[(\d+)\]|[^.\[\]]+")


class Place(StrEnum):
    """Where a wrong value was sent; each is the name of the member that locates it there."""

    BODY = "pointer"
    QUERY = "parameter"
    HEADER = "header"


@dataclass(frozen=True, slots=True)
class FieldError:
    """A value and what is wrong with it; the field is empty when the error is about the whole document.

    `pointer` is the JSON pointer of a field in the body; without one it is derived from the field's path, which is
    right for every path without dots in its names.
    """

    field: str
    reason: str
    place: Place = Place.BODY
    pointer: str | None = None

    def document(self) -> dict[str, str]:
        """The error with what locates it: a `pointer` (RFC 6901), a `parameter` or a `header`."""
        located = pointer_to(self.field) if self.pointer is None else self.pointer
        where = located if self.place is Place.BODY else self.field
        return {"field": _short(self.field), self.place.value: _short(where), "reason": _short(self.reason)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """An error as the client gets it; `instance` names one occurrence in the log."""

    status: int
    code: str
    title: str
    detail: str
    errors: Sequence[FieldError] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    instance: str = ""

    def document(self) -> dict[str, Any]:
        """The members, bounded in size."""
        return {
            "type": f"{PAGES}{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": _short(self.detail),
            **({"instance": self.instance} if self.instance else {}),
            "code": self.code,
            "errors": [error.document() for error in self.errors[:ERRORS_SHOWN]],
        }

    def body(self) -> bytes:
        """The document as JSON."""
        return json.dumps(self.document()).encode() + b"\n"


def pointer_to(path: str) -> str:
    """`source[0].topic` as a JSON pointer: `/source/0/topic`; the whole document is the empty pointer."""
    return joined_pointer([part[1] or part[0] for part in _PART.finditer(path)])


def joined_pointer(parts: Sequence[object]) -> str:
    """Names and indexes as a JSON pointer (RFC 6901, section 3)."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in parts)


def _short(text: str) -> str:
    # A text may contain half of a surrogate pair; strict JSON parsers refuse it even when escaped.
    return text[:TEXT_SHOWN].encode("utf-8", "replace").decode()
