"""Reads the records of a rendered request body (flow/batching/envelope.py), each value as its exact bytes.

Values are not decoded: the matcher has accepted them already, and another parser may refuse what it accepted (escapes
of half a surrogate pair, deep nesting, numbers beyond a double). Brackets and strings are enough to find where a value
ends.

A tombstone and a record with the value `null` have the same rendered form; both are read as tombstones.
"""

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_BYTES = rb'(?:null|%b|\{"base64":%b\})' % (_STRING, _STRING)

_HEAD = re.compile(
    rb'[\[,]\{"topic":(%b),"partition":(-?\d+),"offset":(-?\d+),"timestamp":(-?\d+),"key":(%b),'
    rb'"headers":(\[(?:\[%b,%b\],?)*+\]),"value":' % (_STRING, _BYTES, _STRING, _BYTES),
    re.DOTALL,
)
"""What the envelope writes before a value, beginning with the bracket or comma before the record."""

_PLAIN = rb'[^"\[\]{}]++|%b' % _STRING
_FLAT = rb"[\[{](?:%b)*+[\]}]" % _PLAIN
_NESTED = rb"[\[{](?:%b|%b)*+[\]}]" % (_PLAIN, _FLAT)
_BRACKET = re.compile(rb"(?:%b|%b)*+([\[\]{}])" % (_PLAIN, _NESTED), re.DOTALL)
"""Matches up to the next bracket that is not inside a string. Containers with at most two levels are skipped as a
whole, because in Python a search step takes more time than the bytes that it covers."""

_FIRST = len(b'{"messages":')

_BOUNDARY = b'},{"topic":"'
"""What is between two records. A value may have it, too, outside its strings: inside them quotes are escaped."""


class _Base64(msgspec.Struct, forbid_unknown_fields=True):
    """Bytes that are not UTF-8, as the envelope renders them."""

    base64: str


_Shown = str | _Base64 | None

Headers = tuple[tuple[str, bytes | None], ...]

_text = msgspec.json.Decoder(str).decode
_shown = msgspec.json.Decoder(_Shown).decode
_pairs = msgspec.json.Decoder(list[tuple[str, _Shown]]).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedRecord:
    """One element of `messages`; its parts are those of the Kafka record."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    headers: Headers
    value: bytes | None


def records_of(body: bytes) -> Iterator[ParsedRecord]:
    """The records of a body in their order. Raises ValueError for a body that the envelope did not render."""
    for head, end in _elements(body):
        yield _record(head, body[head.end() : end])


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedElement:
    """One element of `messages`: where its record is, and its exact bytes."""

    topic: str
    partition: int
    offset: int
    text: bytes


def elements_of(body: bytes) -> Iterator[RenderedElement]:
    """The elements of a body in their order. Raises ValueError for a body that the envelope did not render."""
    for head, end in _elements(body):
        topic, partition, offset, *_ = head.groups()
        yield RenderedElement(
            topic=_text(topic), partition=int(partition), offset=int(offset), text=body[head.start() + 1 : end + 1]
        )


def headers_within(body: bytes, records: int, most: int, head_bytes: int) -> Iterator[Headers]:
    """The headers of the first `most` of the `records` of a body; values are not read.

    If values have the text that is between two records, only the first record is sure, and the others are left out. So
    are those after the first `head_bytes` of what stands before the values, keys and headers included.
    """
    # As often as there are records to be separated: then each one is between two records, and none is in a value.
    several = most > 1 and records > 1 and body.count(_BOUNDARY) == records - 1
    at, left = _FIRST, head_bytes
    for index in range(min(most, records) if several else 1):
        if index:
            at = body.index(_BOUNDARY, at) + 1
        head = _HEAD.match(body, at, at + left)
        if head is None:
            return
        yield _headers(head[6])
        left -= head.end() - at
        at = head.end()


def first_headers(body: bytes) -> Headers:
    """The headers of the first record; its value is not read. Raises ValueError for another body."""
    head = _HEAD.match(body, _FIRST)
    if head is None:
        raise ValueError("there is no rendered record")
    return _headers(head[6])


def _elements(body: bytes) -> Iterator[tuple["re.Match[bytes]", int]]:
    """What stands before the value of each record, and the offset of the bracket that closes the record."""
    at = _FIRST
    while body[at : at + 1] != b"]":
        head = _HEAD.match(body, at)
        if head is None:
            raise ValueError(f"there is no rendered record at byte {at}")
        end = _value_end(body, head.end())
        yield head, end
        at = end + 1


def _record(head: "re.Match[bytes]", value: bytes) -> ParsedRecord:
    topic, partition, offset, timestamp_ms, key, headers = head.groups()
    return ParsedRecord(
        topic=_text(topic),
        partition=int(partition),
        offset=int(offset),
        timestamp_ms=int(timestamp_ms),
        key=_raw(_shown(key)),
        headers=_headers(headers),
        value=None if value == b"null" else value,
    )


def _headers(rendered: bytes) -> Headers:
    return tuple((name, _raw(shown)) for name, shown in _pairs(rendered))


def _value_end(body: bytes, at: int) -> int:
    """The offset of the bracket that closes the record whose value begins at `at`: the value is its last field."""
    depth = 0
    while depth >= 0:
        bracket = _BRACKET.match(body, at)
        if bracket is None:
            raise ValueError(f"the value that includes byte {at} does not end")
        depth += 1 if bracket[1] in b"[{" else -1
        at = bracket.end()
    return at - 1


def _raw(shown: _Shown) -> bytes | None:
    match shown:
        case None:
            return None
        case str():
            return shown.encode()
        case _Base64(base64=text):
            return base64.b64decode(text)
