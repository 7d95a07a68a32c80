"""Reads the records of a delivery, with keys and values as the text that arrived."""

from collections.abc import Sequence
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from webhookd.flow.batching import envelope_reader
from webhookd_load_test.json_text import parsed
from webhookd_load_test.run_folder.published import HEADER

_MOST = 2**63 - 1
"""The greatest integer of SQLite."""

_Position = Annotated[int, Meta(ge=0, le=_MOST)]
_NULL = msgspec.Raw(b"null")


class _Message(msgspec.Struct):
    topic: str
    partition: _Position
    offset: _Position
    timestamp: Annotated[int, Meta(ge=-_MOST, le=_MOST)]
    key: msgspec.Raw = _NULL
    headers: list[tuple[str, object]] = []
    value: msgspec.Raw = _NULL


class _Delivery(msgspec.Struct):
    messages: list[_Message]


class DeliveredRecord(NamedTuple):
    """One element of `messages`. `key` and `value` are the bytes of their JSON, which is UTF-8."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | msgspec.Raw
    number: int | None
    value: bytes | msgspec.Raw


_decode = msgspec.json.Decoder(_Delivery).decode
_encode = msgspec.json.Encoder().encode


def records_in(body: bytes) -> list[DeliveredRecord] | None:
    """Return the records of a delivery; None for a body that is not a delivery."""
    if not (body.isascii() or _is_utf8(body)):
        return None
    try:
        return [_record(one) for one in _decode(body).messages]
    except msgspec.ValidationError:
        return None
    except (msgspec.DecodeError, RecursionError):
        return _records_of_unusual_json(body)


def _record(one: _Message) -> DeliveredRecord:
    number = _number(one.headers) if one.headers else None
    return DeliveredRecord(one.topic, one.partition, one.offset, one.timestamp, one.key, number, one.value)


def _records_of_unusual_json(body: bytes) -> list[DeliveredRecord] | None:
    """`msgspec` refuses some valid JSON: escapes of lone surrogates, and deep nesting, which a value may have."""
    try:
        if not _is_json(body):
            return None
        return [_rendered_record(one) for one in envelope_reader.records_of(body)]
    except ValueError:
        return None


def _rendered_record(one: envelope_reader.ParsedRecord) -> DeliveredRecord:
    if not (0 <= one.partition <= _MOST and 0 <= one.offset <= _MOST and abs(one.timestamp_ms) <= _MOST):
        raise ValueError("a position is beyond the integers of SQLite")
    value = b"null" if one.value is None else one.value
    key, number = _text(one.key), _number(one.headers)
    return DeliveredRecord(one.topic, one.partition, one.offset, one.timestamp_ms, key, number, value)


def _is_json(body: bytes) -> bool:
    """Whether it is JSON as far as Python's parser can say: what is nested too deep for it may be."""
    try:
        parsed(body)
    except RecursionError:
        return True
    except ValueError:
        return False
    return True


def _text(raw: bytes | None) -> bytes:
    """The JSON of a key. Bytes that are not UTF-8 are an object with their base64, as webhookd renders them."""
    if raw is None:
        return b"null"
    try:
        return _encode(raw.decode())
    except UnicodeDecodeError:
        return _encode({"base64": raw})


def _number(headers: Sequence[tuple[str, object]]) -> int | None:
    """The number of a record in the CSV file; None for a record that was not published from one."""
    for name, value in headers:
        if name == HEADER:
            digits = value.decode("ascii", "replace") if isinstance(value, bytes) else value
            return int(digits) if isinstance(digits, str) and digits.isdecimal() and len(digits) < 19 else None
    return None


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True
