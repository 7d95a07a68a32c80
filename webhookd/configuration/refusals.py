"""Turns what pydantic finds wrong into one line for each setting: the value, the reason and the form to write."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from webhookd.configuration.forms import form_of, is_hidden, written
from webhookd.configuration.texts import EMPTY
from webhookd.errors import UnusableSetting, UnusableSettings

Model = TypeVar("Model", bound=BaseModel)

SHOWN_CHARS = 60
"""How much of a value an error line repeats."""

REASONS: Mapping[str, str] = {
    "float_parsing": "is not a number",
    "float_type": "is not a number",
    "finite_number": "is not a number",
    "int_parsing": "is not a whole number",
    "int_type": "is not a whole number",
    "int_from_float": "is not a whole number",
    "int_parsing_size": "is too large",
    "literal_error": "is not known",
    "string_type": "is not a text",
    "bool_parsing": "is neither true nor false",
    "greater_than": "is not above {gt}",
    "greater_than_equal": "is less than {ge}",
    "less_than": "is not below {lt}",
    "less_than_equal": "is more than {le}",
    "value_error": "{error}",
}
"""What an error of pydantic says after the value, by its type; the names in braces are pydantic's."""


def refusals(error: ValidationError, fields: Mapping[str, FieldInfo]) -> Iterator[UnusableSetting]:
    """Return one error for each setting that pydantic refused: the first of its mistakes."""
    seen = set()
    for found in error.errors(include_url=False):
        name = str(found["loc"][0])
        if name not in seen:
            seen.add(name)
            yield UnusableSetting(_line(found, name, fields[name]), setting=name)


def read_without_refused(kind: type[Model], values: Mapping[str, Any]) -> tuple[Model, list[UnusableSetting]]:
    """Return the settings, of which `values` replace some, with the default of each that was refused; and the refused.

    So what is wrong with the others can be found as well. Raises UnusableSettings when a default is refused.
    """
    defaults: dict[str, Any] = {}
    problems: list[UnusableSetting] = []
    while True:
        try:
            return kind(**{**values, **defaults}), problems
        except ValidationError as error:
            refused = list(refusals(error, kind.model_fields))
        except UnusableSetting as error:  # a validator raises it where pydantic's own error would show a secret
            refused = [error]
        problems += refused
        if any(problem.setting in defaults for problem in refused):
            raise UnusableSettings(problems)
        defaults |= {problem.setting: _default(kind.model_fields[problem.setting]) for problem in refused}


def _default(field: FieldInfo) -> object:
    return field.get_default(call_default_factory=True, validated_data={})


def _line(found: ErrorDetails, name: str, field: FieldInfo) -> str:
    reason = REASONS.get(found["type"], found["msg"]).format_map(_numbers(found.get("ctx", {})))
    shown = "" if reason == EMPTY or is_hidden(field) else f"{_quoted(found['input'])} "
    return f"{shown}{reason}: write {form_of(name, field)}"


def _numbers(context: Mapping[str, Any]) -> dict[str, str]:
    return {name: f"{value:.15g}" if isinstance(value, float) else str(value) for name, value in context.items()}


def _quoted(value: object) -> str:
    text = written(value) if isinstance(value, tuple) else str(value)
    return json.dumps(
        text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…", ensure_ascii=not text.isprintable()
    )
