"""What a tenant sees of a record: the parts of it that a policy can hide."""

import base64
from collections.abc import Sequence
from typing import Any, Final, Protocol, TypeAlias

import msgspec

Headers: TypeAlias = Sequence[tuple[str, bytes | None]]


class RecordContent(Protocol):
    """The parts of a Kafka message that a policy can hide; confluent_kafka.Message implements it."""

    def key(self) -> bytes | None:
        """The key, if there is one."""

    def value(self) -> bytes | None:
        """The value; None is a tombstone."""

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        """The headers in their order. Raises SystemError or ValueError if a name is not UTF-8."""


class PlainRecord:
    """A record that is not a message of a consumer, but made of its parts."""

    __slots__ = ("_headers", "_key", "_value")

    def __init__(self, value: bytes | None, key: bytes | None = None, headers: Headers = ()) -> None:
        self._value = value
        self._key = key
        self._headers = headers

    def key(self) -> bytes | None:
        """See RecordContent."""
        return self._key

    def value(self) -> bytes | None:
        """See RecordContent."""
        return self._value

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        """See RecordContent."""
        return list(self._headers)


class SeenRecord(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The key, the headers and the value as the tenant sees them; a value of None is a tombstone."""

    key: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    value: bytes | None = None


NOTHING_SEEN: Final = SeenRecord()

DENIED: Final = b"\0denied"
"""The value of a record that a policy denies: it is compared by identity, and no filter can accept it as JSON."""

DENIED_RECORD: Final = SeenRecord(value=DENIED)


def shown_bytes(raw: bytes | None) -> Any:  # noqa: ANN401 - a JSON value
    """A key or a header's value as a delivery shows it: a string, `{"base64": "…"}` if it is not UTF-8, or None."""
    if raw is None:
        return None
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(raw).decode()}
