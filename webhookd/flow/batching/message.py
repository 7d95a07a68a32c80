"""The interfaces of a Kafka message and of its matcher, and the dead letter of a message that cannot be delivered."""

from typing import Protocol

from webhookd.errors import FilterFault, UndecodableRecord
from webhookd.flow.authorization.record_view import RecordView
from webhookd.flow.authorization.seen_record import SeenRecord
from webhookd.flow.dead_letter import DeadLetter
from webhookd.flow.offsets.position import Partition

UNDECODABLE = (UndecodableRecord, SystemError, ValueError)
"""Errors that one record can cause; confluent-kafka raises SystemError for a header name that is not UTF-8. Such a
record is dead-lettered. Any other error is a bug in webhookd and stops the subscription."""


class Message(Protocol):
    """The part of a Kafka message that the hot path uses; confluent_kafka.Message implements it."""

    def offset(self) -> int | None:
        """The offset in its partition."""

    def timestamp(self) -> tuple[int, int]:
        """The kind of timestamp, and milliseconds since the epoch."""

    def key(self) -> bytes | None:
        """The key, if there is one."""

    def value(self) -> bytes | None:
        """The value; None is a tombstone."""

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        """The headers in their order."""


class Matching(Protocol):
    """Decides whether a record is delivered."""

    def matches(self, value: bytes | None) -> bool:
        """Whether all filters accept the record.

        Raises UndecodableRecord for what is not JSON in UTF-8, and FilterFault when a filter cannot be evaluated.
        """


def is_decodable(message: Message, matcher: Matching) -> bool:
    """Whether the record can be decoded; it can be if only the evaluation of a filter fails."""
    try:
        if matcher.matches(message.value()):
            message.headers()
    except FilterFault:
        return True
    except UNDECODABLE:
        return False
    return True


def dead_letter_of(subscription_id: str, partition: Partition, message: Message, error: Exception) -> DeadLetter:
    """The dead letter of a record that raised `error`; it has only what the policies of its topic show."""
    shown = shown_of(message)
    return DeadLetter(
        subscription_id=subscription_id,
        partition=partition,
        offset=message.offset() or 0,
        timestamp_ms=message.timestamp()[1],
        key=shown.key,
        value=shown.value,
        headers=shown.headers,
        cause=_cause(error),
        detail=error.detail if isinstance(error, (UndecodableRecord, FilterFault)) else type(error).__name__,
    )


def shown_of(message: Message) -> SeenRecord:
    """What may be shown of a record in dead letters and problems: all that can be read, unless a policy hides it."""
    if isinstance(message, RecordView):
        return message.shown
    try:
        headers = tuple(message.headers() or ())
    except UNDECODABLE:
        headers = ()
    return SeenRecord(key=message.key(), value=message.value(), headers=headers)


def _cause(error: Exception) -> str:
    match error:
        case UndecodableRecord():
            return error.cause
        case FilterFault():
            return error.code
        case _:
            return "unreadable"
