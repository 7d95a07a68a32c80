"""Marshmallow validators of the fields of a subscription."""

import re
from collections.abc import Callable
from typing import Any

from marshmallow import ValidationError

from api.description import patterns
from api.description.keywords import accepts
from api.extensions.request_fields import shown
from webhookd.errors import InvalidFilter, InvalidInput
from webhookd.flow.access.tenant_name import PATTERN, check_tenant_name
from webhookd.flow.alerting.mail_address import parse_address
from webhookd.flow.attempt.header import HEADER_BYTES, is_masked, parse_header
from webhookd.flow.attempt.signature import parse_secret
from webhookd.flow.attempt.success_codes import PATTERN as SUCCESS_CODE
from webhookd.flow.attempt.target import check_url
from webhookd.flow.filters import matcher
from webhookd.flow.filters.expression import SOURCE_BYTES
from webhookd.flow.offsets.topic_metadata import TopicRules
from webhookd.flow.subscription import INTERNAL_PREFIX, is_internal

_TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,249}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
NOT_ONE_LINE = "has line breaks or control characters"


def is_one_line(text: str) -> bool:
    """Whether a text has neither line breaks nor control characters."""
    return not _CONTROL.search(text)


@accepts(pattern=patterns.ONE_LINE)
def name(value: str) -> None:
    """Raise ValidationError unless the name is one line and not blank."""
    if not value.strip():
        raise ValidationError("is blank")
    if not is_one_line(value):
        raise ValidationError(NOT_ONE_LINE)


@accepts(pattern=f"^{PATTERN}$")
def tenant(value: str) -> None:
    """Raise ValidationError unless a tenant can have this name."""
    _as_validation_error(check_tenant_name, value)


@accepts(pattern=patterns.TOPIC)
def topic(value: str) -> None:
    """Raise ValidationError unless Kafka allows the topic name and the topic is not an internal one."""
    topic_name(value)
    if is_internal(value):
        raise ValidationError(
            f"is internal to Kafka: topics that begin with {INTERNAL_PREFIX} are neither read nor written to"
        )


@accepts(pattern=patterns.TOPIC_NAME)
def topic_name(value: str) -> None:
    """Raise ValidationError unless Kafka allows the topic name."""
    if not _TOPIC.fullmatch(value) or value in {".", ".."}:
        raise ValidationError("is not a Kafka topic name: 1 to 249 of a-z, A-Z, 0-9, dot, underscore and hyphen")


@accepts(format="idn-email")
def email(value: str) -> None:
    """Raise ValidationError unless it is a mail address."""
    _as_validation_error(parse_address, value)


@accepts(format="uri", pattern=patterns.URL)
def url(value: str) -> None:
    """Raise ValidationError unless workers can send requests to the URL."""
    _as_validation_error(check_url, value)


@accepts(format="jmespath", minLength=1, maxLength=SOURCE_BYTES, examples=["total >= `100`"])
def jmes_filter(value: str) -> None:
    """Raise ValidationError unless it is a JMESPath expression within the bounds."""
    _as_validation_error(check_filter, value)


@accepts(format="http-header", pattern=patterns.HEADER, maxLength=HEADER_BYTES)
def header(value: str) -> None:
    """Raise ValidationError unless a client may set the header."""
    _as_validation_error(parse_header, value)


@accepts(pattern=patterns.NEW_SIGNING_SECRET)
def new_signing_secret(value: str) -> None:
    """Raise ValidationError unless requests can be signed with the secret."""
    _as_validation_error(parse_secret, value)


@accepts(pattern=patterns.SIGNING_SECRET)
def signing_secret(value: str) -> None:
    """Raise ValidationError unless it is a secret, or the mask in place of the stored one."""
    if not is_masked(value):
        new_signing_secret(value)


@accepts(pattern=f"^{SUCCESS_CODE}$")
def success_code(value: str) -> None:
    """Raise ValidationError unless it is a status from 200 to 599, or a class of them."""
    if not re.fullmatch(SUCCESS_CODE, value):
        raise ValidationError(f'is {shown(value)}: write a status from 200 to 599, or one of "2xx" to "5xx"')


def headers_differ(headers: list[str]) -> None:
    """Raise ValidationError when two headers have the same name."""
    names = [text.partition(":")[0].lower() for text in headers]
    _raise_for("headers", {index: ["repeats the name of a header above"] for index in _repeats(names)})


def check_filter(expression: str) -> None:
    """Raise InvalidFilter, which has the position, for a text that cannot be used as a filter."""
    matcher.check(expression)


def topics_differ(sources: list[dict[str, str]]) -> None:
    """Raise ValidationError when a topic is listed twice."""
    topics = [source["topic"] for source in sources]
    _raise_for("source", {index: {"topic": ["repeats a topic above"]} for index in _repeats(topics)})


def not_a_source(dead_letter_topic: str | None, sources: list[dict[str, str]]) -> None:
    """Raise ValidationError if the dead letter topic is a source: its dead letters would be read again without end."""
    if dead_letter_topic in {source["topic"] for source in sources}:
        raise ValidationError({"configuration": {"retry": {"dead_letter_topic": ["is a topic of this subscription"]}}})


def dead_letters_refused(rules: TopicRules) -> str:
    """Return why a topic cannot accept or keep dead letters; empty when no reason is known."""
    if rules.cleanup is not None and "compact" in rules.cleanup:
        return (
            "is compacted: it takes no record without a key, and keeps one record of each key. A topic for dead "
            "letters needs cleanup.policy=delete"
        )
    return "" if rules.writable is not False else "may not be written to by webhookd (not authorized in Kafka)"


def _repeats(values: list[str]) -> list[int]:
    return [index for index, value in enumerate(values) if value in values[:index]]


def _raise_for(field: str, errors: dict[int, Any]) -> None:
    if errors:
        raise ValidationError({field: errors})


def _as_validation_error(check: Callable[[str], object], value: str) -> None:
    try:
        check(value)
    except InvalidFilter as error:
        raise ValidationError(f"is not a usable filter at position {error.position}: {error}") from error
    except InvalidInput as error:
        raise ValidationError(str(error)) from error
