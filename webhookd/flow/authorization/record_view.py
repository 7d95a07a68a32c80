"""A Kafka message as the tenant sees it. It is decided once, when the value is read."""

from typing import Protocol

from webhookd.errors import ProjectionFailed, UndecodableRecord
from webhookd.flow.authorization.authorizer import TopicAuthorizer
from webhookd.flow.authorization.seen_record import NOTHING_SEEN, RecordContent, SeenRecord


class Message(RecordContent, Protocol):
    """The part of a Kafka message that a view needs."""

    def offset(self) -> int | None:
        """The offset in its partition."""

    def timestamp(self) -> tuple[int, int]:
        """The kind of timestamp, and milliseconds since the epoch."""


class RecordView:
    """The message with the key, value and headers that the policies show; offset and timestamp are always seen.

    The value is `seen_record.DENIED` if the record is denied. Reading it raises what TopicAuthorizer.see raises, each
    time; then nothing of the record is seen. Key and headers are known when the value was read.
    """

    __slots__ = ("_authorizer", "_failure", "_message", "_seen")

    def __init__(self, message: Message, authorizer: TopicAuthorizer) -> None:
        self._message = message
        self._authorizer = authorizer
        self._seen: SeenRecord | None = None
        self._failure: Exception | None = None

    def offset(self) -> int | None:
        """The offset in its partition."""
        return self._message.offset()

    def timestamp(self) -> tuple[int, int]:
        """The kind of timestamp, and milliseconds since the epoch."""
        return self._message.timestamp()

    def value(self) -> bytes | None:
        """The value that is seen; None is a tombstone."""
        seen = self._seen or self._decide()
        if self._failure is not None:
            raise self._failure
        return seen.value

    def key(self) -> bytes | None:
        """The key that is seen."""
        return (self._seen or self._decide()).key

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        """The headers that are seen."""
        headers = (self._seen or self._decide()).headers
        return list(headers) if headers else None

    @property
    def shown(self) -> SeenRecord:
        """What may be shown of the record in dead letters and problems: nothing, if reading the value failed."""
        return self._seen or self._decide()

    def _decide(self) -> SeenRecord:
        try:
            self._seen = self._authorizer.see(self._message)
        except (UndecodableRecord, ProjectionFailed, SystemError, ValueError) as failure:
            self._seen, self._failure = NOTHING_SEEN, failure
        return self._seen
