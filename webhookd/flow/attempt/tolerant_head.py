"""Reads the head of a response that a strict parser refuses, as far as its meaning is certain.

A status line that has arrived whole is the endpoint's answer, whatever follows it (RFC 9112 §4; recipients parse it
leniently). So a line that only a strict parser refuses must not be the reason to send a batch again that its receiver
has taken.

read leniently                                                     how
name of the protocol in small letters, `HTTP/2 200`                any case, with or without a minor version
several spaces or tabs, no reason, any bytes in the reason         the first three digits are the status
lines that end with LF instead of CRLF                             both end a line
folded lines, spaces before a colon, no colon, invalid bytes       kept for people; they change nothing
Transfer-Encoding and Content-Length                               Transfer-Encoding counts (RFC 9112 §6.3)
several Content-Length, or a list of them                          the first number counts
a Content-Length that is no number, any other Transfer-Encoding    the body ends with the connection
"""

import re
from dataclasses import dataclass

from webhookd.flow.attempt.response_head import field_values

_STATUS_LINE = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+([1-9]\d\d)(?:[ \t][^\n]*)?\r?\n", re.IGNORECASE)
_FIRST_BYTES = b"HTTP/"
_END_OF_HEAD = re.compile(rb"\n\r?\n")
_END_OF_LINE = re.compile(rb"\r?\n")
_LENGTH = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TolerantHead:
    """A head that has arrived whole: its status, and its lines with CRLF between them.

    `framing` is the head to parse the body with: the same status, and the one field that says where the body ends.
    """

    status: int
    lines: bytes
    framing: bytes


def status_of(data: bytes) -> int | None:
    """The status code, if `data` begins with a status line that has arrived whole."""
    found = _STATUS_LINE.match(data)
    return int(found[1]) if found else None


def is_no_response(data: bytes) -> bool:
    """Whether `data` does not begin with a status line, and cannot whatever follows."""
    begin = data[: len(_FIRST_BYTES)].upper()
    return not _FIRST_BYTES.startswith(begin) or (b"\n" in data and status_of(data) is None)


def end_of_head(data: bytes) -> int:
    """The number of bytes of the head and of the blank line after it; 0 if they have not arrived whole."""
    found = _END_OF_HEAD.search(data)
    return found.end() if found else 0


def lines_of(data: bytes) -> bytes:
    """The whole lines in the beginning of a head, with CRLF between them."""
    return _END_OF_LINE.sub(b"\r\n", data[: data.rfind(b"\n") + 1]).strip(b"\r\n")


def read_head(data: bytes, status: int) -> TolerantHead:
    """Read a whole head with this status."""
    lines = lines_of(data)
    return TolerantHead(status=status, lines=lines, framing=b"HTTP/1.1 %d\r\n%b\r\n" % (status, _framing(lines)))


def _framing(lines: bytes) -> bytes:
    codings = ",".join(field_values(lines, "transfer-encoding")).lower().split(",")
    applied = [coding.strip() for coding in codings if coding.strip() not in {"", "identity"}]
    if applied:
        return b"Transfer-Encoding: chunked\r\n" if applied[-1] == "chunked" else b""
    lengths = ",".join(field_values(lines, "content-length")).split(",")
    for length in lengths:
        if _LENGTH.fullmatch(length.strip()):
            return b"Content-Length: %d\r\n" % int(length)
    return b""
