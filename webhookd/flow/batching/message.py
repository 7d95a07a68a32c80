"""What a lane reads: a Kafka message, what decides whether it is delivered, and its dead letter when it cannot be."""

from typing import Protocol

from webhookd.errors import FilterFault, UndecodableRecord
from webhookd.flow.dead_letter import DeadLetter
from webhookd.flow.offsets.position import Partition

UNDECODABLE = (UndecodableRecord, SystemError, ValueError)
"""What reading one record can raise: confluent-kafka raises SystemError for a header name that is not UTF-8. Such a
record is dead-lettered; any other error is a bug in webhookd and stops the subscription."""


class Message(Protocol):
    """What the hot path needs of a Kafka message; confluent_kafka.Message and the records of the tests have it."""

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
    """Whether the record can be decoded; a filter that cannot be evaluated does not count against it."""
    try:
        if matcher.matches(message.value()):
            message.headers()
    except FilterFault:
        return True
    except UNDECODABLE:
        return False
    return True


def dead_letter_of(subscription_id: str, partition: Partition, message: Message, error: Exception) -> DeadLetter:
    """The dead letter of a record that raised `error`."""
    try:
        headers = tuple(message.headers() or ())
    except UNDECODABLE:
        headers = ()
    return DeadLetter(
        subscription_id=subscription_id,
        partition=partition,
        offset=message.offset() or 0,
        timestamp_ms=message.timestamp()[1],
        key=message.key(),
        value=message.value(),
        headers=headers,
        cause=_cause(error),
        detail=error.detail if isinstance(error, (UndecodableRecord, FilterFault)) else type(error).__name__,
    )


def _cause(error: Exception) -> str:
    match error:
        case UndecodableRecord():
            return error.cause
        case FilterFault():
            return error.code
        case _:
            return "unreadable"
