"""What a field of a subscription must be like, as marshmallow validators."""

import re
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import jmespath
from jmespath.exceptions import JMESPathError, ParseError
from marshmallow import ValidationError

from webhookd.errors import InvalidFilter, InvalidInput
from webhookd.flow.header import parse_header

FILTER_CHARACTERS: Final = 4096

_TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,249}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_URL = re.compile(r"[\x21-\x7e]+")


def name(value: str) -> None:
    """One line that shows something."""
    if not value.strip():
        raise ValidationError("is blank")
    if _CONTROL.search(value):
        raise ValidationError("has line breaks or control characters")


def topic(value: str) -> None:
    """A name that Kafka allows."""
    if not _TOPIC.fullmatch(value) or value in {".", ".."}:
        raise ValidationError("is not a Kafka topic name: 1 to 249 of a-z, A-Z, 0-9, dot, underscore and hyphen")


def url(value: str) -> None:
    """A destination the workers would call."""
    _as_validation_error(check_url, value)


def jmes_filter(value: str) -> None:
    """A JMESPath expression within bounds."""
    _as_validation_error(check_filter, value)


def header(value: str) -> None:
    """A header a client may set."""
    _as_validation_error(parse_header, value)


def headers_differ(headers: list[str]) -> None:
    """No two headers of one name."""
    names = [text.partition(":")[0].lower() for text in headers]
    _complain("headers", {index: ["repeats the name of a header above"] for index in _repeats(names)})


def check_url(value: str) -> None:
    """Raise InvalidInput for a destination that cannot be called."""
    if not _URL.fullmatch(value):
        raise InvalidInput("is not a URL: only printable ASCII, without spaces", field="url")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError as error:
        raise InvalidInput(f"is not a URL: {error}", field="url") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise InvalidInput("is not an http:// or https:// URL with a host", field="url")
    if "@" in parts.netloc or parts.fragment:
        raise InvalidInput("must not hold a login or a fragment", field="url")


def check_filter(expression: str) -> None:
    """Raise InvalidFilter for a filter that is no JMESPath expression within bounds."""
    if len(expression) > FILTER_CHARACTERS:
        raise InvalidFilter(f"is longer than {FILTER_CHARACTERS} characters")
    try:
        jmespath.compile(expression)
    except ParseError as error:
        position = error.lex_position
        raise InvalidFilter(f"is not JMESPath at position {position}", position=position) from error
    except (JMESPathError, RecursionError, ValueError) as error:
        raise InvalidFilter("is not JMESPath") from error


def topics_differ(sources: list[dict[str, str]]) -> None:
    """No topic twice."""
    topics = [source["topic"] for source in sources]
    _complain("source", {index: {"topic": ["repeats a topic above"]} for index in _repeats(topics)})


def _repeats(values: list[str]) -> list[int]:
    return [index for index, value in enumerate(values) if value in values[:index]]


def _complain(field: str, mistakes: dict[int, Any]) -> None:
    if mistakes:
        raise ValidationError({field: mistakes})


def _as_validation_error(check: Callable[[str], object], value: str) -> None:
    try:
        check(value)
    except InvalidInput as error:
        raise ValidationError(str(error)) from error
