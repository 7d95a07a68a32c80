"""The body of a request: `{"messages":[…]}` with each record's original value bytes spliced in."""

import base64
from collections.abc import Iterable, Sequence

import msgspec

CONTENT_TYPE = "application/json"
_HEAD = b'{"messages":['
_TAIL = b"]}"
_encode = msgspec.json.Encoder().encode
_TRACEPARENT = b'["traceparent",'
"""How the header is rendered. Names and values are JSON strings, so none of them contains this text."""

_TIMESTAMP = b'"timestamp":'

Headers = Sequence[tuple[str, bytes | None]]


class Envelope:
    """Renders the records of one lane; it renders only once the part that all records have in common.

    `traced` is True once a record had the header `traceparent` (trace_headers.py).
    """

    __slots__ = ("_prefix", "traced")

    def __init__(self, topic: str, partition: int) -> None:
        self._prefix = b'{"topic":%b,"partition":%d,"offset":' % (_encode(topic), partition)
        self.traced = False

    def render(
        self, offset: int, timestamp_ms: int, key: bytes | None, headers: Headers | None, value: bytes | None
    ) -> bytes:
        """One element of `messages`. `value` must be valid JSON; None (a tombstone) becomes null."""
        return b'%b%d,"timestamp":%d,"key":%b,"headers":%b,"value":%b}' % (
            self._prefix,
            offset,
            timestamp_ms,
            b"null" if key is None else b'"%b"' % key if key.isalnum() else _text(key),
            self._headers(headers) if headers else b"[]",
            b"null" if value is None else value,
        )

    def _headers(self, headers: Headers) -> bytes:
        pairs = [b"[%b,%b]" % (_encode(name), b"null" if value is None else _text(value)) for name, value in headers]
        rendered = b"[" + b",".join(pairs) + b"]"
        self.traced = self.traced or _TRACEPARENT in rendered
        return rendered

    def timestamp_ms(self, offset: int, rendered: bytes) -> int | None:
        """The timestamp of the lane's record at this offset, if a rendered text or body begins with it; else None.

        What follows is not searched: the value of a record can have the same text.
        """
        head = b'%b%d,"timestamp":' % (self._prefix, offset)
        begin = len(_HEAD) if rendered.startswith(_HEAD) else 0
        return _number(rendered, begin + len(head)) if rendered.startswith(head, begin) else None


def first_timestamp_ms(rendered: bytes) -> int:
    """The timestamp of a rendered text, or of the first record of a body."""
    # No topic has a quotation mark, so this is not in a topic; and what else could have it comes later.
    return _number(rendered, rendered.index(_TIMESTAMP) + len(_TIMESTAMP))


def _number(text: bytes, begin: int) -> int:
    return int(text[begin : text.index(b",", begin)])


def body(rendered: Iterable[bytes]) -> bytes:
    """The request body for rendered records, in their order."""
    return _HEAD + b",".join(rendered) + _TAIL


def overhead_bytes(records: int) -> int:
    """How many bytes longer a body is than its rendered records."""
    return len(_HEAD) + len(_TAIL) + records - 1


def room_bytes(size_bytes: int) -> int:
    """How many bytes the records of a body of this size have, when each also takes the byte of a comma."""
    return size_bytes - len(_HEAD) - len(_TAIL) + 1


def _text(raw: bytes) -> bytes:
    """A JSON string, or `{"base64": "…"}` if the bytes are not UTF-8."""
    try:
        return _encode(raw.decode())
    except UnicodeDecodeError:
        return b'{"base64":"%b"}' % base64.b64encode(raw)
