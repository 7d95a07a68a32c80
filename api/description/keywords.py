"""Says beside each validator or schema what it accepts, in the words of JSON Schema, for the OpenAPI document.

    @accepts(pattern=TOPIC)
    def topic(value: str) -> None: …

A rule that JSON Schema has no word for is in the description of the field. tests/unit/api/test_description.py finds a
validator that says nothing.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from marshmallow import fields

ATTRIBUTE: Final = "json_schema"

Checked = TypeVar("Checked", bound=Callable[..., Any])


def accepts(**keywords: object) -> Callable[[Checked], Checked]:
    """Declare the JSON Schema keywords of what a validator, a class of fields or a schema accepts."""

    def decorated(check: Checked) -> Checked:
        setattr(check, ATTRIBUTE, keywords)
        return check

    return decorated


def keywords_of(field: fields.Field[Any]) -> Mapping[str, Any]:
    """Return the keywords of a field and its validators."""
    found: dict[str, Any] = {}
    for one in (type(field), *field.validators):
        found |= getattr(one, ATTRIBUTE, {})
    return found
