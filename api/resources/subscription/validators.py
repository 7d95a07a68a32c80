"""What a field of a subscription must be like, as marshmallow validators."""

import re
from collections.abc import Callable
from typing import Any

from marshmallow import ValidationError

from webhookd.errors import InvalidFilter, InvalidInput
from webhookd.flow.alerting.mail_address import parse_address
from webhookd.flow.attempt.header import parse_header
from webhookd.flow.attempt.target import Target
from webhookd.flow.filters import matcher
from webhookd.flow.offsets.topic_metadata import TopicRules

_TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,249}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


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


def email(value: str) -> None:
    """An address that mails can be sent to."""
    _as_validation_error(parse_address, value)


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
    Target.parse(value)


def check_filter(expression: str) -> None:
    """Raise InvalidFilter, which names the position, for what cannot be used as a filter."""
    matcher.check(expression)


def topics_differ(sources: list[dict[str, str]]) -> None:
    """No topic twice."""
    topics = [source["topic"] for source in sources]
    _complain("source", {index: {"topic": ["repeats a topic above"]} for index in _repeats(topics)})


def not_a_source(dead_letter_topic: str | None, sources: list[dict[str, str]]) -> None:
    """Dead letters that came back as records would go round for ever."""
    if dead_letter_topic in {source["topic"] for source in sources}:
        raise ValidationError({"configuration": {"retry": {"dead_letter_topic": ["is a topic of this subscription"]}}})


def dead_letters_refused(rules: TopicRules) -> str:
    """Why a topic takes no dead letters, or does not keep them; empty when nothing is known against it."""
    if rules.cleanup is not None and "compact" in rules.cleanup:
        return (
            "is compacted: it takes no record without a key, and keeps one record of each key. A topic for dead "
            "letters needs cleanup.policy=delete"
        )
    return "" if rules.writable is not False else "may not be written to by webhookd (not authorized in Kafka)"


def _repeats(values: list[str]) -> list[int]:
    return [index for index, value in enumerate(values) if value in values[:index]]


def _complain(field: str, mistakes: dict[int, Any]) -> None:
    if mistakes:
        raise ValidationError({field: mistakes})


def _as_validation_error(check: Callable[[str], object], value: str) -> None:
    try:
        check(value)
    except InvalidFilter as error:
        raise ValidationError(f"is not a usable filter at position {error.position}: {error}") from error
    except InvalidInput as error:
        raise ValidationError(str(error)) from error
