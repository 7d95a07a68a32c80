"""Maps a subscription to its row and back; a damaged row raises an error that names the column."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeVar

from webhookd.errors import InvalidInput, UnusableSubscription
from webhookd.flow.attempt.signature import signer_of
from webhookd.flow.destination import Destination
from webhookd.flow.subscription import (
    Alerting,
    Batching,
    Details,
    Filtering,
    History,
    OnExhausted,
    OnFilterError,
    OnRejected,
    Retry,
    RetryAlgorithm,
    Source,
    Start,
    Subscription,
    is_internal,
)
from webhookd.store.destination_rows import destination_of, limits_of, to_columns

Choice = TypeVar("Choice", bound=StrEnum)


def to_row(subscription: Subscription) -> dict[str, Any]:
    """The row of the subscription, without `changed_at`."""
    return {
        "id": subscription.id,
        "version": subscription.version,
        "name": subscription.name,
        "active": subscription.active,
        **to_columns(subscription.destination, subscription.limits),
        "sources": [_source_document(source) for source in subscription.sources],
        "max_batch_size": subscription.batching.max_batch_size,
        "max_batch_interval_s": subscription.batching.max_batch_interval_s,
        "max_batch_bytes": subscription.batching.max_batch_bytes,
        "max_retries": subscription.retry.max_retries,
        "retry_algorithm": subscription.retry.algorithm.value,
        "alert_emails": list(subscription.alerting.emails),
        "on_exhausted": subscription.retry.on_exhausted.value,
        "on_rejected": subscription.retry.on_rejected.value,
        "dead_letter_topic": subscription.retry.dead_letter_topic,
        "on_filter_error": subscription.filtering.on_filter_error.value,
        "inactive_reason": subscription.inactive_reason,
        "tenant": subscription.tenant,
        "description": subscription.details.description,
        "labels": dict(subscription.details.labels),
        "external_id": subscription.details.external_id,
        "revision": subscription.history.revision,
        "created_at": subscription.history.created_at,
        "updated_at": subscription.history.updated_at,
    }


def from_row(row: Mapping[str, Any]) -> Subscription:
    """The subscription in the row; raises UnusableSubscription, which names the column and the reason."""
    return Subscription(
        id=str(row["id"]),
        version=_whole(row, "version", at_least=1),
        name=_text(row, "name"),
        active=bool(row["active"]),
        destination=_destination(row),
        sources=_sources(row["sources"]),
        batching=Batching(
            max_batch_size=_whole(row, "max_batch_size", at_least=1),
            max_batch_interval_s=_seconds(row, "max_batch_interval_s"),
            max_batch_bytes=None if row["max_batch_bytes"] is None else _whole(row, "max_batch_bytes", at_least=1),
        ),
        retry=_retry(row),
        limits=limits_of(row),
        alerting=Alerting(emails=_texts(row["alert_emails"], "alert_emails")),
        filtering=Filtering(on_filter_error=_choice(row, "on_filter_error", OnFilterError)),
        details=_details(row),
        history=History(
            revision=_whole(row, "revision", at_least=1), created_at=row["created_at"], updated_at=row["updated_at"]
        ),
        inactive_reason=str(row["inactive_reason"]),
        tenant=_text(row, "tenant"),
    )


def _source_document(source: Source) -> dict[str, Any]:
    return {
        "topic": source.topic,
        "jmes_filters": list(source.jmes_filters),
        "start": source.start.value,
        # JSON objects have only text keys.
        "start_offsets": {str(partition): offset for partition, offset in source.start_offsets.items()},
        "topic_id": source.topic_id,
    }


def _sources(value: object) -> tuple[Source, ...]:
    if not isinstance(value, list) or not value:
        raise UnusableSubscription("sources: not a list of topics")
    sources = tuple(_source(item) for item in value)
    if len({source.topic for source in sources}) != len(sources):
        raise UnusableSubscription("sources: a topic is listed twice")
    if internal := [source.topic for source in sources if is_internal(source.topic)]:
        raise UnusableSubscription(f"sources: {internal[0]} is internal to Kafka and is not read")
    return sources


def _source(item: object) -> Source:
    if not isinstance(item, dict):
        raise UnusableSubscription("sources: not an object")
    start_offsets = item.get("start_offsets", {})
    if not isinstance(start_offsets, dict):
        raise UnusableSubscription("sources: start_offsets is not an object")
    try:
        return Source(
            topic=_text(item, "topic", within="sources: "),
            jmes_filters=_texts(item.get("jmes_filters", []), "sources: jmes_filters"),
            start=Start(item.get("start", Start.LATEST)),
            start_offsets={int(key): int(offset) for key, offset in start_offsets.items()},
            topic_id=str(item.get("topic_id", "")),
        )
    except (TypeError, ValueError) as error:
        raise UnusableSubscription(f"sources: {error}") from error


def _destination(row: Mapping[str, Any]) -> Destination:
    _text(row, "url")
    _confirm_headers(row["headers"])
    found = destination_of(row)
    try:
        signer_of(found.signing)
    except InvalidInput as error:
        raise UnusableSubscription(f"destination: the signing secret {error}") from error
    return found


def _confirm_headers(value: object) -> None:
    if not isinstance(value, list):
        raise UnusableSubscription("headers: not a list")
    pairs = [_texts(item, "headers") for item in value]
    if any(len(pair) != 2 for pair in pairs):
        raise UnusableSubscription("headers: not pairs of name and value")


def _retry(row: Mapping[str, Any]) -> Retry:
    return Retry(
        max_retries=_whole(row, "max_retries", at_least=0),
        algorithm=_choice(row, "retry_algorithm", RetryAlgorithm),
        on_exhausted=_choice(row, "on_exhausted", OnExhausted),
        on_rejected=_choice(row, "on_rejected", OnRejected),
        dead_letter_topic=str(row["dead_letter_topic"]),
    )


def _details(row: Mapping[str, Any]) -> Details:
    labels = row["labels"]
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise UnusableSubscription("labels: not an object of texts")
    return Details(description=str(row["description"]), labels=labels, external_id=row["external_id"])


def _choice(row: Mapping[str, Any], column: str, choices: type[Choice]) -> Choice:
    try:
        return choices(row[column])
    except ValueError as error:
        raise UnusableSubscription(f"{column}: {error}") from error


def _text(row: Mapping[str, Any], column: str, *, within: str = "") -> str:
    value = row.get(column)
    if not isinstance(value, str) or not value:
        raise UnusableSubscription(f"{within}{column}: not text or empty")
    return value


def _texts(value: object, column: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise UnusableSubscription(f"{column}: not a list of texts")
    return tuple(value)


def _whole(row: Mapping[str, Any], column: str, *, at_least: int) -> int:
    value = row[column]
    if not isinstance(value, int) or isinstance(value, bool) or value < at_least:
        raise UnusableSubscription(f"{column}: not a whole number from {at_least} up")
    return value


def _seconds(row: Mapping[str, Any], column: str) -> float:
    value = row[column]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise UnusableSubscription(f"{column}: not a number of seconds")
    return float(value)
