"""Reads the responses on one connection, one after another, from pieces of any size.

what has arrived                                             result
a final status line (200 and above) that is whole            that status, whatever follows it or does not follow
anything else, and then the end of the connection            no response
something that is no status line, 101, too many 1xx          `fault` response_malformed
`head_bytes` without a whole final status line               `fault` response_too_large

httptools (llhttp) reads what is well-formed. A head that it refuses is read by `tolerant_head`. A connection is used
again only after a response that llhttp accepted whole.
"""

import re
from typing import Final

import httptools

from webhookd.edges.http_client.limits import Limits
from webhookd.flow.attempt.exchange_result import FailureCode
from webhookd.flow.attempt.tolerant_head import end_of_head, is_no_response, lines_of, read_head, status_of

_END_OF_HEAD = b"\r\n\r\n"
_CACHED_BYTES = 4096  # for each connection; larger responses are rarely the same twice
_ANNOUNCED_BODY = re.compile(rb"\r\n(?:content-length:[ \t]*0*[1-9]|transfer-encoding:)", re.IGNORECASE)

_LENIENCIES: Final = {
    "lenient_optional_lf_after_cr": True,
    "lenient_optional_cr_before_lf": True,
    "lenient_optional_crlf_after_chunk": True,
    "lenient_spaces_after_chunk_size": True,
}
"""How the body behind a refused head is parsed. "Dangerous" they are where bytes behind the response could become the
next response; here the connection is closed after it."""


class ResponseReader:
    """The response that is arriving: `feed` until it is finished, then read `fault` or `status`, `head` and `body`.

    Finished means complete, or cut: at the limits, where the rest cannot be read, or by `end`. `fault` is the failure
    code of what is no response. `keep_alive` says whether another request may follow on the connection. The next `feed`
    starts the next response. Interim (1xx) responses are skipped. The parser calls the methods named `on_…`.

    The result does not depend on how the bytes were split, except for `keep_alive`: bytes behind the response forbid
    another request only if they arrived in the same piece. Later ones reach whoever owns the connection then.
    """

    __slots__ = (
        "_body_bytes",
        "_body_parts",
        "_broken",
        "_head_so_far",
        "_interim",
        "_kept_bytes",
        "_last_response",
        "_limits",
        "_parser",
        "_pieces",
        "_refused",
        "body",
        "fault",
        "finished",
        "head",
        "keep_alive",
        "status",
    )  # fmt: skip

    status: int
    head: bytes
    body: bytes
    fault: FailureCode | None
    keep_alive: bool
    finished: bool
    _head_so_far: bytes  # of heads only; blank lines before them are included
    _body_parts: list[bytes]
    _pieces: int
    _refused: bool  # the parser refused the head: it is read leniently
    _broken: bool  # the parser refused what followed the head

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._kept_bytes = limits.response_bytes
        self._parser = httptools.HttpResponseParser(self)
        self._last_response = b""
        self._reset()

    def keep_at_least(self, body_bytes: int) -> None:
        """Keep so much of the next bodies, or what the limits say if that is more."""
        kept_bytes = max(body_bytes, self._limits.response_bytes)
        if kept_bytes != self._kept_bytes:
            self._kept_bytes, self._last_response = kept_bytes, b""  # whose body may have been cut elsewhere

    def feed(self, data: bytes) -> bool:
        """Read a piece; returns whether the response is finished.

        Many endpoints send the same bytes every time (their Date changes once a second). A response that arrived in one
        piece is cached, and the same bytes are not parsed again. The parser is between two messages at that time, so
        its result would be the same.
        """
        if self.finished:
            if data == self._last_response:
                return True
            self._reset()
        self._pieces += 1
        if self.head:
            self._parse(data)
        else:
            self._head_so_far += data
            if self._refused:
                self._read_refused_heads()
            else:
                self._parse(data)
        return self._update(data)

    def end(self) -> bool:
        """Nothing more is read; returns whether there is a response: its status line has arrived whole.

        While nothing of this response has arrived, `finished` still describes the previous one, which must not count
        as the response to this request.
        """
        if self.finished or not self.answered:
            return False
        if not self.head:
            self._cut_head()
        self._finish()
        return True

    @property
    def started(self) -> bool:
        """Whether any byte of the current response has arrived."""
        return not self.finished and self._pieces > 0

    @property
    def answered(self) -> bool:
        """Whether the final status line of the current response has arrived whole; the rest may be missing."""
        return bool(self.head) or self._final_status() is not None

    def on_message_begin(self) -> None:
        """A message begins; after a finished response these are stray bytes."""
        if self.finished:
            self._broken = True

    def on_headers_complete(self) -> None:
        """A head has arrived, perhaps that of an interim response."""
        if self._broken or self.fault or self.head:
            return
        so_far = self._head_so_far
        head, _, rest = so_far.lstrip(b"\r\n").partition(_END_OF_HEAD)  # the parser skips blank lines too
        if len(so_far) - len(rest) > self._limits.head_bytes:
            self._broken = True
            return
        self.status = self._parser.get_status_code()
        if self.status >= 200 and head.startswith(b"HTTP/"):
            self.head, rest = head, b""
        elif not 100 <= self.status < 200:
            self.fault = FailureCode.RESPONSE_MALFORMED  # the parser also accepts RTSP/1.0 200 and HTTP/1.1 099
        self._head_so_far = rest

    def on_body(self, data: bytes) -> None:
        """A piece of the body has arrived; bytes beyond the limit are counted and dropped."""
        if self._broken:
            return
        room = self._kept_bytes - self._body_bytes
        self._body_bytes += len(data)
        if room > 0:
            self._body_parts.append(data if len(data) <= room else data[:room])

    def on_message_complete(self) -> None:
        """A message is complete: the response, or an interim one."""
        if self._broken:
            return
        if not self.head:
            self._count_interim()
            return
        self.keep_alive = not self._refused and self._parser.should_keep_alive()
        if self.status == 204 and _ANNOUNCED_BODY.search(self.head):
            self.keep_alive = False  # a 204 has no body (RFC 9110 §15.3.5); this one may send one
        self.finished = True

    def _reset(self) -> None:
        self.status = 0
        self.head = b""
        self.body = b""
        self.fault = None
        self.keep_alive = False
        self.finished = False
        self._head_so_far = b""
        self._body_parts = []
        self._body_bytes = 0
        self._pieces = 0
        self._interim = 0
        self._refused = False
        self._broken = False

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._broken = True  # after 101, which is a fault
        except httptools.HttpParserError:
            if self.head or self.fault or self._broken:
                self._broken = True
            else:
                self._refused = True
                self._read_refused_heads()

    def _read_refused_heads(self) -> None:
        """Read heads that the parser refused: those of interim responses, and the final one."""
        while not self.head and self.fault is None:
            within = self._head_so_far[: self._limits.head_bytes].lstrip(b"\r\n")
            status = status_of(within)
            if is_no_response(within):
                self.fault = FailureCode.RESPONSE_MALFORMED
            end = end_of_head(within)
            if status is None or not end:
                return
            rest = self._head_so_far.lstrip(b"\r\n")[end:]
            if status < 200:
                self._head_so_far = rest
                self.status = status
                self._count_interim()
            else:
                self._parse_leniently(within[:end], status, rest)

    def _parse_leniently(self, data: bytes, status: int, rest: bytes) -> None:
        head = read_head(data, status)
        self.status, self.head, self._head_so_far = status, head.lines, b""
        self._parser = httptools.HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(**_LENIENCIES)
        self._parse(head.framing)
        self._parse(rest)

    def _count_interim(self) -> None:
        self._interim += 1
        if self._interim > self._limits.interim_responses or self.status == 101:
            self.fault = FailureCode.RESPONSE_MALFORMED

    def _final_status(self) -> int | None:
        """The status of a final status line that has arrived whole, of a head that has not."""
        status = status_of(self._head_so_far[: self._limits.head_bytes].lstrip(b"\r\n"))
        return status if status is not None and status >= 200 else None

    def _update(self, data: bytes) -> bool:
        """Update `fault`, `finished` and `body` after a piece; returns `finished`."""
        if self.fault is not None:
            self.finished = True
        elif self.finished:
            self.body = b"".join(self._body_parts)
            self._cache_response(data)
        elif self.head:
            if self._broken or self._body_bytes > self._kept_bytes + self._limits.drained_bytes:
                self._finish()
        elif self._broken or len(self._head_so_far) > self._limits.head_bytes:
            self._cut_head()
            self._finish()
        return self.finished

    def _cut_head(self) -> None:
        """Keep what has arrived of a head, whole lines only; a fault if that is not even a final status line."""
        within = self._head_so_far[: self._limits.head_bytes].lstrip(b"\r\n")
        status = self._final_status()
        if status is not None:
            self.status, self.head = status, lines_of(within)
        else:
            malformed = is_no_response(within)
            self.fault = FailureCode.RESPONSE_MALFORMED if malformed else FailureCode.RESPONSE_TOO_LARGE

    def _finish(self) -> None:
        """The response ends here, although more of it may come; `keep_alive` stays False."""
        self.body = b"".join(self._body_parts)
        self.finished = True

    def _cache_response(self, data: bytes) -> None:
        if self._broken:  # the response counts, but the connection must not be used again
            self.keep_alive = False
        worth_it = self.keep_alive and self._pieces == 1 and len(data) <= _CACHED_BYTES
        self._last_response = data if worth_it else b""
