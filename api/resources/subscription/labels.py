"""The field `labels`: names and values of the owner's own.

name    1 to 63 of a-z, A-Z, 0-9, dot, hyphen, underscore and slash; begins and ends with a letter or a digit
value   0 to 255 characters in one line
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from marshmallow import ValidationError, fields

from api.description.keywords import accepts
from api.extensions.request_fields import RequestField, between, kind_of
from api.resources.subscription.validators import NOT_ONE_LINE, is_one_line

COUNT: Final = 32
NAME_CHARACTERS: Final = 63
VALUE_CHARACTERS: Final = 255

NAME: Final = r"[a-zA-Z0-9](?:[a-zA-Z0-9._/-]{0,61}[a-zA-Z0-9])?"
VALUE: Final = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$"

_NAME = re.compile(NAME)


@accepts(propertyNames={"pattern": f"^{NAME}$"})
class Labels(RequestField, fields.Dict):
    """An object of strings within the bounds above."""

    expected = 'an object of strings, such as {"team": "billing"}'

    def __init__(self, *, metadata: Mapping[str, Any], **kwargs: Any) -> None:  # noqa: ANN401  # what a Field takes
        super().__init__(
            keys=fields.String(),
            values=fields.String(metadata={"maxLength": VALUE_CHARACTERS, "pattern": VALUE}),
            metadata={"maxProperties": COUNT, **metadata},
            **kwargs,
        )

    def mistake(self, value: Any) -> str | None:  # noqa: ANN401  # any JSON there is
        """See RequestField."""
        if not isinstance(value, Mapping):
            return f"is {kind_of(value)}: write {self.expected}"
        return f"has {len(value)} labels: write {between(0, COUNT, 'labels')}" if len(value) > COUNT else None

    def _deserialize(self, value: Mapping[str, Any], *_args: Any, **_kwargs: Any) -> dict[str, str]:  # noqa: ANN401  # marshmallow's own signature
        errors = {name: [reason] for name, text in value.items() if (reason := label_mistake(name, text))}
        if errors:
            raise ValidationError(errors)
        return dict(value)


def label_mistake(name: str, value: object) -> str:
    """What is wrong with one label; "" when nothing is."""
    if not _NAME.fullmatch(name):
        return (
            f"is not a label's name: write 1 to {NAME_CHARACTERS} of a-z, A-Z, 0-9, dot, hyphen, underscore and slash, "
            "with a letter or a digit at both ends"
        )
    if not isinstance(value, str):
        return f"is {kind_of(value)}: write a string"
    if len(value) > VALUE_CHARACTERS:
        return f"has {len(value)} characters: write {between(0, VALUE_CHARACTERS, 'characters')}"
    return "" if is_one_line(value) else NOT_ONE_LINE
