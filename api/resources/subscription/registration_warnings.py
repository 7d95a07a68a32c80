"""What may be meant in a subscription and probably is not: decided from the subscription and what a check has found.

A warning refuses nothing. Its subject is the field, as in the reasons of errors.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from typing import Final

from webhookd.flow.attempt.egress_policy import refusal_reason
from webhookd.flow.attempt.target import Target
from webhookd.flow.filters.literal_mistakes import ComparedField, compared_fields, mistaken
from webhookd.flow.filters.sample import SampleResult, fields_in, try_filters
from webhookd.flow.offsets.topic_metadata import TopicSample
from webhookd.flow.subscription import Source, Subscription

URL: Final = "destination.webhook.url"
HEADERS: Final = "destination.webhook.headers"
AUTHENTICATION: Final = "destination.webhook.authentication"
TOKEN_URL: Final = f"{AUTHENTICATION}.token_url"
INTERVAL: Final = "configuration.batching.max_batch_interval_seconds"
EMAILS: Final = "configuration.alerting.alert_emails"


class WarningCode(StrEnum):
    """The code of a warning, for programs."""

    TOPIC_MISSING = "topic_missing"
    TOPIC_DENIED = "topic_denied"
    RECORDS_NOT_JSON = "records_not_json"
    FIELD_NOT_LITERAL = "field_not_literal"
    FILTER_PASSES_NOTHING = "filter_passes_nothing"
    URL_REFUSED = "url_refused"
    ADDRESS_REFUSED = "address_refused"
    HOST_UNRESOLVED = "host_unresolved"
    HEADERS_UNENCRYPTED = "headers_unencrypted"
    CLIENT_SECRET_UNENCRYPTED = "client_secret_unencrypted"  # noqa: S105  # the name of a warning
    NO_MAIL_SERVER = "no_mail_server"
    INTERVAL_UNUSED = "interval_unused"
    UNCHECKED = "unchecked"


MEANINGS: Final[Mapping[WarningCode, str]] = {
    WarningCode.TOPIC_MISSING: "The topic does not exist in Kafka. It is read as soon as it exists.",
    WarningCode.TOPIC_DENIED: "Kafka does not authorise webhookd to read a topic that the subscription already had.",
    WarningCode.RECORDS_NOT_JSON: "None of the topic's last records is JSON. Such records become dead letters.",
    WarningCode.FIELD_NOT_LITERAL: "A filter names a field where a literal was probably meant, as in "
    '`status == "paid"`.',
    WarningCode.FILTER_PASSES_NOTHING: "None of the topic's last records passes the filters.",
    WarningCode.URL_REFUSED: "A rule of this installation refuses the URL, which was registered before it; nothing is "
    "sent.",
    WarningCode.ADDRESS_REFUSED: "The host of the URL has only addresses that this installation refuses; "
    "`WEBHOOKD_EGRESS_ALLOW` allows them.",
    WarningCode.HOST_UNRESOLVED: "The host of the URL cannot be resolved now.",
    WarningCode.HEADERS_UNENCRYPTED: "The URL is `http` and leads to the internet, and there are headers or "
    "credentials.",
    WarningCode.CLIENT_SECRET_UNENCRYPTED: "The `token_url` is `http` and leads to the internet, and the "
    "client secret is sent there.",
    WarningCode.NO_MAIL_SERVER: "There are alert addresses, but `WEBHOOKD_SMTP_HOST` is not set.",
    WarningCode.INTERVAL_UNUSED: "`max_batch_interval_seconds` is set, but a batch holds one record.",
    WarningCode.UNCHECKED: "Kafka did not answer the checks in time, so topics and filters were not checked.",
}
"""Each code with its meaning in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationWarning:
    """A field, and why its value is probably not what was meant."""

    field: str
    code: WarningCode
    reason: str


def of_configuration(subscription: Subscription, *, has_mail_server: bool) -> Iterator[RegistrationWarning]:
    """Yield what can be seen without asking anyone."""
    if subscription.alerting.emails and not has_mail_server:
        yield RegistrationWarning(
            field=EMAILS,
            code=WarningCode.NO_MAIL_SERVER,
            reason="get no mail: this installation has no mail server, since WEBHOOKD_SMTP_HOST is not set",
        )
    batching = subscription.batching
    if batching.max_batch_size == 1 and batching.max_batch_interval_s > 1:
        yield RegistrationWarning(
            field=INTERVAL,
            code=WarningCode.INTERVAL_UNUSED,
            reason="has no effect while max_batch_size is 1: each record is sent at once",
        )


def of_headers(subscription: Subscription, addresses: Sequence[str]) -> Iterator[RegistrationWarning]:
    """Yield that headers or credentials leave for one of these addresses of the URL's host without encryption."""
    destination = subscription.destination
    field = HEADERS if destination.headers else AUTHENTICATION
    secret = destination.headers or destination.authentication
    if secret and _unencrypted(destination.url, addresses):
        yield RegistrationWarning(
            field=field,
            code=WarningCode.HEADERS_UNENCRYPTED,
            reason="are sent over the internet without encryption: write https:// in the URL",
        )


def of_client_secret(token_url: str, addresses: Sequence[str]) -> Iterator[RegistrationWarning]:
    """Yield that the client secret leaves for one of these addresses of the token endpoint without encryption."""
    if _unencrypted(token_url, addresses):
        yield RegistrationWarning(
            field=TOKEN_URL,
            code=WarningCode.CLIENT_SECRET_UNENCRYPTED,
            reason="is http, so the client secret and the access tokens are sent over the internet without encryption: "
            "write https:// in it",
        )


def _unencrypted(url: str, addresses: Sequence[str]) -> bool:
    """Whether a request to the URL crosses the internet in clear, to one of these addresses of its host."""
    public = any(refusal_reason(ip_address(address), ()) is None for address in addresses)
    return public and not Target.parse(url).tls


def unresolved(field: str, detail: str) -> RegistrationWarning:
    """The warning about a host name without an address, in this field."""
    return RegistrationWarning(
        field=field, code=WarningCode.HOST_UNRESOLVED, reason=f"has a host that cannot be resolved now: {detail}"
    )


def unchecked() -> RegistrationWarning:
    """The warning that Kafka did not answer."""
    return RegistrationWarning(
        field="source",
        code=WarningCode.UNCHECKED,
        reason="was not checked: Kafka did not answer in time whether the topics exist and what the filters do",
    )


def of_source(
    index: int, source: Source, sample: TopicSample | None, out_of_time: Callable[[], bool]
) -> Iterator[RegistrationWarning]:
    """Yield what is wrong with one topic and its filters; without a sample, what the filters alone show."""
    topic = f"source[{index}].topic"
    if sample and sample.denied:
        reason = "is a topic that Kafka does not authorise webhookd to read"
        yield RegistrationWarning(field=topic, code=WarningCode.TOPIC_DENIED, reason=reason)
    elif sample and not sample.exists:
        reason = "does not exist in Kafka: it is read from its beginning as soon as it exists"
        yield RegistrationWarning(field=topic, code=WarningCode.TOPIC_MISSING, reason=reason)
    values = (sample.values or ()) if sample else ()
    yield from _literals(index, source, values)
    yield from _filters(index, source, values, out_of_time)


def _literals(index: int, source: Source, values: Sequence[bytes | None]) -> Iterator[RegistrationWarning]:
    compared = [compared_fields(expression) for expression in source.jmes_filters]
    known, records = fields_in(values) if any(compared) else (set[str](), 0)
    for number, fields in enumerate(compared):
        for field in mistaken(fields, known, records):
            yield RegistrationWarning(
                field=f"source[{index}].jmes_filters[{number}]",
                code=WarningCode.FIELD_NOT_LITERAL,
                reason=_literal_reason(field, records),
            )


def _literal_reason(field: ComparedField, records: int) -> str:
    why = ", since double quotes name a field" if field.quoted else ""
    seen = f"; none of the last {records} records has such a field" if records else ""
    kind = "string" if field.literal.startswith("'") else "JSON value"
    return f"compares with the field {field.name}{why}: write {field.literal} for the {kind}{seen}"


def _filters(
    index: int, source: Source, values: Sequence[bytes | None], out_of_time: Callable[[], bool]
) -> Iterator[RegistrationWarning]:
    if not values:
        return
    result = try_filters(source.jmes_filters, values, out_of_time)
    if result.passed or not result.looked_at:
        return
    if result.undecodable == result.looked_at:
        yield RegistrationWarning(
            field=f"source[{index}].topic",
            code=WarningCode.RECORDS_NOT_JSON,
            reason=f"has no JSON in its last {result.looked_at} records: such records become dead letters",
        )
        return
    alone = [
        number
        for number, expression in enumerate(source.jmes_filters)
        if not try_filters([expression], values, out_of_time).passed
    ]
    one = f"[{alone[0]}]" if len(alone) == 1 else ""
    yield RegistrationWarning(
        field=f"source[{index}].jmes_filters{one}",
        code=WarningCode.FILTER_PASSES_NOTHING,
        reason=_passes_nothing(source, result, plural=not one),
    )


def _passes_nothing(source: Source, result: SampleResult, *, plural: bool) -> str:
    verb = "pass" if plural else "passes"
    failed = f"; on {result.failed} of them a filter raises an error: {result.last_error}" if result.failed else ""
    undecodable = f"; {result.undecodable} of them are not JSON" if result.undecodable else ""
    return f"{verb} none of the last {result.looked_at} records of {source.topic}{failed}{undecodable}"
