"""Parses the HTTP/1.1 requests of one connection as their bytes arrive.

A request that arrives in one piece, as most do, costs one search for the end of its head and a few in it; its headers
are not taken apart. What says where a request ends is checked strictly.
"""

import re
import time

from webhookd.testing.http_exchange import BadRequest, ReceivedRequest
from webhookd.testing.request_body import ChunkedBody, SizedBody

HEAD_BYTES = 65_536
"""A longer head is not a request."""

_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e]+) HTTP/1\.([01])\r\n")
_BEGINNING = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?: [\x21-\x7e]*(?: [HTP/1.0]*\r?)?)?")
_LENGTH = re.compile(rb"[ \t]*([0-9]{1,15})[ \t]*\r")
_CHUNKED = re.compile(rb"[ \t]*chunked[ \t]*\r")
_CONNECTION = re.compile(rb"\r\nconnection:([^\r]*)")


class RequestParser:
    """Feed it what arrives, and take the requests that are complete. After BadRequest it must not be used."""

    def __init__(self) -> None:
        self._rest = b""
        self._body: SizedBody | ChunkedBody | None = None
        self._expects = False
        self._head = b""
        self._line: re.Match[bytes] | None = None
        self._lower = b""

    def feed(self, data: bytes) -> None:
        """Keep what has arrived, until it is taken."""
        self._rest = self._rest + data if self._rest else data

    def take(self) -> ReceivedRequest | None:
        """The next request if it is complete, else None. Raises BadRequest."""
        rest = self._rest
        if self._body is not None:
            return self._continued(self._body, rest)
        end = rest.find(b"\r\n\r\n") + 4
        if end < 4:
            _check_beginning(rest)
            return None
        self._read_head(rest[:end])
        length = self._length()
        if length is not None and end + length <= len(rest):
            self._rest = rest[end + length :]
            return self._request(rest[end : end + length])
        self._expects = b"\r\nexpect: 100-continue\r\n" in self._lower
        self._body = ChunkedBody() if length is None else SizedBody(length)
        return self._continued(self._body, rest[end:])

    def wants_continue(self) -> bool:
        """Whether the client waits for a response 100 before it sends the body (RFC 9110 §10.1.1); true once."""
        wants, self._expects = self._expects, False
        return wants

    def _continued(self, body: SizedBody | ChunkedBody, data: bytes) -> ReceivedRequest | None:
        self._rest = b""
        rest = body.feed(data)
        if rest is None:
            return None
        self._rest, self._body, self._expects = rest, None, False
        return self._request(body.content())

    def _read_head(self, head: bytes) -> None:
        line = _REQUEST_LINE.match(head)
        if line is None:
            raise BadRequest("the request line is not METHOD PATH HTTP/1.1")
        self._head, self._line, self._lower = head, line, head.lower()

    def _length(self) -> int | None:
        """The length of the body; None when it comes in chunks."""
        lower = self._lower
        at = lower.find(b"\r\ncontent-length:")
        if b"\r\ntransfer-encoding:" in lower:
            _check_chunked(lower, at)
            return None
        if at < 0:
            return 0
        found = _LENGTH.match(lower, at + 17)
        if found is None or lower.find(b"\r\ncontent-length:", at + 17) >= 0:
            raise BadRequest("Content-Length is not one number")
        return int(found[1])

    def _request(self, body: bytes) -> ReceivedRequest:
        assert self._line is not None  # noqa: S101  # a body comes after a head
        method, path, minor = self._line.groups()
        closes = _closes(self._lower, minor)
        return ReceivedRequest(method.decode(), path.decode(), self._head, body, time.time_ns(), closes)


def _check_beginning(rest: bytes) -> None:
    """Garbage need not end like a head: refuse what cannot become one."""
    if len(rest) > HEAD_BYTES:
        raise BadRequest("the head is too long")
    if rest and not (_REQUEST_LINE.match(rest) if b"\n" in rest else _BEGINNING.fullmatch(rest)):
        raise BadRequest("the request line is not METHOD PATH HTTP/1.1")


def _check_chunked(lower: bytes, length_at: int) -> None:
    at = lower.find(b"\r\ntransfer-encoding:") + 20
    repeated = lower.find(b"\r\ntransfer-encoding:", at) >= 0
    if length_at >= 0 or repeated or not _CHUNKED.match(lower, at):
        raise BadRequest("Transfer-Encoding is not chunked alone")


def _closes(lower: bytes, minor: bytes) -> bool:
    """Whether the connection ends with this request: HTTP/1.1 says `close`, HTTP/1.0 does not say `keep-alive`."""
    if minor == b"1" and b"\r\nconnection:" not in lower:
        return False
    options = {option.strip() for value in _CONNECTION.findall(lower) for option in value.split(b",")}
    return b"close" in options or (minor == b"0" and b"keep-alive" not in options)
