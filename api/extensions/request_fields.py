"""Fields of requests: what each accepts, and an error that says what was sent and what to write instead.

    max_batch_size   "100"    is a string: write 100
    active           true     is true: write "yes"
    source           {…}      is an object: write a list of objects

Every field of a request is one of these classes (tests/unit/api/test_request_schemas.py). The subject of a reason is
the field; it is in lower case, without a full stop, as the reasons of webhookd's own validators are.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import Any, ClassVar, Final
from uuid import UUID

from marshmallow import Schema, ValidationError, fields, missing
from marshmallow.validate import Length, OneOf, Range

SHOWN_CHARACTERS: Final = 40
"""How much of a value a reason repeats."""

ANY_STRING: Final = "a string"

NOT_A_SWITCH: Final[Mapping[bool, str]] = {True: "yes", False: "no"}


def shown(value: object) -> str:
    """A string or a number as JSON, shortened; for other values their kind."""
    if isinstance(value, str):
        short = value if len(value) <= SHOWN_CHARACTERS else f"{value[:SHOWN_CHARACTERS]}…"
        # Half of a surrogate pair cannot be in a response.
        return json.dumps(short.encode("utf-8", "replace").decode(), ensure_ascii=False)
    if type(value) is int and value.bit_length() > 3 * SHOWN_CHARACTERS:
        return "a number with too many digits"
    return str(value) if type(value) in {int, float} else kind_of(value)


def kind_of(value: object) -> str:
    """The kind of a JSON value, as the predicate of a sentence: `a string`, `true`, `null`."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case Mapping():
            return "an object"
        case _:
            return "a list"


def between(least: int, most: int, unit: str) -> str:
    """`1 to 20 entries`, `at most 20 entries`."""
    return f"{least} to {most} {unit}" if least else f"at most {most} {unit}"


def listed(names: Sequence[str], last: str = "and") -> str:
    """`a, b and c`."""
    return f" {last} ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


class RequestField(fields.Field[Any]):
    """A field that names what was sent and what to write instead; `expected` is the object of "write"."""

    expected: ClassVar[str] = ""

    def wanted(self) -> str:
        """What to write, if nothing is known about the value that was sent."""
        return self.expected

    def mistake(self, value: Any) -> str | None:  # noqa: ANN401  # any JSON there is
        """Return what is wrong with a value that is neither missing nor null; None when it is right."""
        raise NotImplementedError

    def deserialize(
        self,
        value: Any,  # noqa: ANN401  # marshmallow's own signature
        attr: str | None = None,
        data: Mapping[str, Any] | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """The value as the application gets it; raises ValidationError with the reason."""
        if value is missing and self.required:
            raise ValidationError(f"is missing: write {self.wanted()}")
        if value is None and not self.allow_none:
            raise ValidationError(f"is null: write {self.wanted()}{'' if self.required else ', or leave it out'}")
        if value is not missing and value is not None and (mistake := self.mistake(value)):
            raise ValidationError(mistake)
        return super().deserialize(value, attr, data, **kwargs)


class Text(RequestField, fields.String):
    """A string of `least` to `most` characters; `validate` checks more of it."""

    def __init__(
        self,
        *,
        expected: str = ANY_STRING,
        least: int = 0,
        most: int = 0,
        validate: Callable[[str], None] | None = None,
        **kwargs: Any,  # noqa: ANN401  # what a Field takes
    ) -> None:
        checks = [validate] if validate else []
        bounds = [Length(min=least or None, max=most)] if most else []
        super().__init__(validate=[*bounds, *checks], **kwargs)
        self._expected, self._least, self._most = expected, least, most

    def wanted(self) -> str:
        """See RequestField."""
        return self._expected

    def mistake(self, value: Any) -> str | None:  # noqa: ANN401
        """See RequestField."""
        if not isinstance(value, str):
            quoted = self._expected == ANY_STRING and _is_number(value)
            return f"is {kind_of(value)}: write {json.dumps(str(value)) if quoted else self.wanted()}"
        if len(value) < self._least:
            return f"is empty: write {between(self._least, self._most, 'characters')}"
        if self._most and len(value) > self._most:
            return f"has {len(value)} characters: write {between(self._least, self._most, 'characters')}"
        return None


class Choice(RequestField, fields.String):
    """One of a few strings."""

    def __init__(self, choices: Sequence[str], **kwargs: Any) -> None:  # noqa: ANN401  # what a Field takes
        super().__init__(validate=OneOf(choices), **kwargs)
        self._choices = tuple(choices)

    def wanted(self) -> str:
        """Every choice."""
        return listed([json.dumps(choice) for choice in self._choices], "or")

    def mistake(self, value: Any) -> str | None:  # noqa: ANN401
        """See RequestField."""
        if isinstance(value, str) and value in self._choices:
            return None
        return f"is {shown(value)}: write {self._nearest(value)}"

    def _nearest(self, value: object) -> str:
        text = NOT_A_SWITCH[value] if isinstance(value, bool) else str(value)[:SHOWN_CHARACTERS]
        near = get_close_matches(text.strip().lower(), [choice.lower() for choice in self._choices], n=1, cutoff=0.8)
        found = [choice for choice in self._choices if choice.lower() in near]
        return json.dumps(found[0]) if found else self.wanted()


class WholeNumber(RequestField, fields.Integer):
    """An integer within bounds, as JSON writes it: not "1", not true, not 1.0."""

    def __init__(self, least: int, most: int, **kwargs: Any) -> None:  # noqa: ANN401  # what a Field takes
        super().__init__(validate=Range(least, most), **kwargs)
        self._least, self._most = least, most

    def wanted(self) -> str:
        """The bounds."""
        return f"a whole number from {self._least} to {self._most}"

    def mistake(self, value: Any) -> str | None:  # noqa: ANN401
        """See RequestField."""
        if type(value) is int:
            return None if self._least <= value <= self._most else f"is {shown(value)}: write {self.wanted()}"
        what = shown(value) if isinstance(value, float) else kind_of(value)
        return f"is {what}: write {self._meant(value) or self.wanted()}"

    def _meant(self, value: object) -> str:
        """The number that a string or a float stands for, if it is within the bounds."""
        if isinstance(value, bool) or not isinstance(value, (str, float)):
            return ""
        number = _number(value)
        return str(number) if number is not None and self._least <= number <= self._most else ""


class Number(RequestField, fields.Float):
    """A number within bounds, as JSON writes it: not "1", not true."""

    def __init__(self, least: float, most: float, **kwargs: Any) -> None:  # noqa: ANN401  # what a Field takes
        super().__init__(validate=Range(least, most), **kwargs)
        self._least, self._most = least, most

    def wanted(self) -> str:
        """The bounds."""
        return f"a number from {self._least} to {self._most}"

    def mistake(self, value: Any) -> str | None:  # noqa: ANN401
        """See RequestField."""
        number = type(value) in {int, float}
        if number and self._least <= value <= self._most:
            return None
        return f"is {shown(value) if number else kind_of(value)}: write {self.wanted()}"


class QueryNumber(WholeNumber):
    """An integer within bounds, as a query parameter."""

    def mistake(self, value: Any) -> str | None:  # noqa: ANN401
        """See RequestField."""
        return None if self._meant(value) else f"is {shown(value)}: write {self.wanted()}"


class ListOf(RequestField, fields.List[Any]):
    """A list of `least` to `most` entries."""

    def __init__(self, entry: "Text | Part", *, least: int = 0, most: int, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(entry, validate=Length(min=least or None, max=most), **kwargs)
        self._entry, self._least, self._most = entry, least, most

    def wanted(self) -> str:
        """The kind of the entries."""
        return "a list of objects" if isinstance(self._entry, Part) else "a list of strings"

    def mistake(self, value: Any) -> str | None:  # noqa: ANN401
        """See RequestField."""
        if not isinstance(value, list):
            # The value is not repeated: a header in it may hold a secret.
            return f"is {kind_of(value)}: write {self.wanted()}, in [ ]"
        if self._least <= len(value) <= self._most:
            return None
        return f"has {len(value) or 'no'} entries: write {between(self._least, self._most, 'entries')}"


class Part(RequestField, fields.Nested):
    """An object with the fields of another schema."""

    def wanted(self) -> str:
        """Its required fields."""
        required = [name for name, field in self.schema.fields.items() if field.required]
        return f"an object with {listed(required)}" if required else "an object"

    def mistake(self, value: Any) -> str | None:  # noqa: ANN401
        """See RequestField."""
        return None if isinstance(value, Mapping) else f"is {kind_of(value)}: write {self.wanted()}, in {{ }}"


class Identifier(RequestField, fields.UUID):
    """A UUID."""

    expected = "a UUID, such as 6f1c2a7e-52b0-4a6f-9d38-0f4f5a1f8b11"

    def mistake(self, value: Any) -> str | None:  # noqa: ANN401
        """See RequestField."""
        if not isinstance(value, str):
            return f"is {kind_of(value)}: write {self.expected}"
        try:
            UUID(value)
        except ValueError:
            return f"is not a UUID: write one such as {self.expected.rpartition(' ')[2]}"
        return None


class Moment(RequestField, fields.AwareDateTime):
    """A time in ISO 8601 with its time zone."""

    expected = "a time with its time zone, such as 2026-11-28T20:00:00Z"

    def mistake(self, value: Any) -> str | None:  # noqa: ANN401
        """See RequestField."""
        try:
            found = datetime.fromisoformat(str(value))
        except ValueError:
            plus = " (in a URL, + is written %2B)" if " " in str(value) else ""
            return f"is not a time: write {self.expected}{plus}"
        return None if found.tzinfo else f"has no time zone: write {found.isoformat(timespec='seconds')}Z"


def required_fields(schema: type[Schema]) -> str:
    """The object of "write" for a whole document: `an object with name, destination and source`."""
    return Part(schema).wanted()


def _is_number(value: object) -> bool:
    return type(value) in {int, float} and len(shown(value)) < SHOWN_CHARACTERS


def _number(value: str | float) -> int | None:
    try:
        return int(value) if isinstance(value, str) or value.is_integer() else None
    except (ValueError, OverflowError):
        return None
