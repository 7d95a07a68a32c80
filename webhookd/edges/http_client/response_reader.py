"""Reads the responses on one connection, one after another, from pieces of any size."""

import httptools

from webhookd.edges.http_client.limits import Limits
from webhookd.flow.attempt.exchange_result import FailureCode
from webhookd.flow.attempt.response_head import ends_with_connection

_END_OF_HEAD = b"\r\n\r\n"
_CACHED_BYTES = 4096  # for each connection; larger responses are rarely the same twice


class ResponseReader:
    """The response that is arriving: `feed` until it is finished, then read `fault` or `status`, `head` and `body`.

    Finished means complete, or read up to the limits. `fault` is the failure code of an invalid response. `keep_alive`
    says whether another request may follow on the connection. The next `feed` starts the next response. Interim (1xx)
    responses are skipped. The parser calls the methods named `on_…`.
    """

    __slots__ = (
        "_body_bytes",
        "_body_parts",
        "_head_so_far",
        "_interim",
        "_kept_bytes",
        "_last_response",
        "_limits",
        "_parser",
        "_pieces",
        "_stray_bytes",
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
    _head_so_far: bytes  # of heads only
    _body_parts: list[bytes]
    _pieces: int

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
        if not self.head:
            self._head_so_far += data
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.fault = self.fault or FailureCode.RESPONSE_MALFORMED
        except httptools.HttpParserError:
            self._stray_bytes = True
        return self._update(data)

    def end(self) -> bool:
        """The connection ended; returns whether that completes the response.

        While nothing of this response has arrived, `finished` still describes the previous one, which must not count
        as the response to this request.
        """
        if self.finished or not self.head or not ends_with_connection(self.head):
            return False
        self.body = b"".join(self._body_parts)
        self.finished = True
        return True

    @property
    def started(self) -> bool:
        """Whether any byte of the current response has arrived."""
        return not self.finished and self._pieces > 0

    def on_message_begin(self) -> None:
        """A message begins; after a finished response these are stray bytes."""
        if self.finished:
            self._stray_bytes = True

    def on_headers_complete(self) -> None:
        """A head has arrived, perhaps that of an interim response."""
        if self._stray_bytes or self.fault:
            return
        self.status = self._parser.get_status_code()
        head, _, rest = self._head_so_far.lstrip(b"\r\n").partition(_END_OF_HEAD)  # the parser skips blank lines too
        if self.status >= 200:
            self.head, rest = head, b""
        self._head_so_far = rest

    def on_body(self, data: bytes) -> None:
        """A piece of the body has arrived; bytes beyond the limit are counted and dropped."""
        if self._stray_bytes:
            return
        room = self._kept_bytes - self._body_bytes
        self._body_bytes += len(data)
        if room > 0:
            self._body_parts.append(data if len(data) <= room else data[:room])

    def on_message_complete(self) -> None:
        """A message is complete: the response, or an interim one."""
        if self._stray_bytes:
            return
        if self.status < 200:
            self._interim += 1
            if self._interim > self._limits.interim_responses or self.status == 101:
                self.fault = FailureCode.RESPONSE_MALFORMED
            return
        self.keep_alive = self._parser.should_keep_alive()
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
        self._stray_bytes = False

    def _update(self, data: bytes) -> bool:
        """Update `fault`, `finished` and `body` after a piece; returns `finished`."""
        if self.fault is None and max(len(self._head_so_far), len(self.head)) > self._limits.head_bytes:
            self.fault = FailureCode.RESPONSE_TOO_LARGE
        if self.fault is None and self._stray_bytes and not self.finished:
            self.fault = FailureCode.RESPONSE_MALFORMED
        if self.fault is not None:
            self.finished = True
        elif self.finished:
            self.body = b"".join(self._body_parts)
            self._cache_response(data)
        elif self._body_bytes > self._kept_bytes + self._limits.drained_bytes:
            self.body = b"".join(self._body_parts)
            self.finished = True  # enough of it is read; `keep_alive` is still False
        return self.finished

    def _cache_response(self, data: bytes) -> None:
        if self._stray_bytes:  # the response counts, but the connection must not be used again
            self.keep_alive = False
        worth_it = self.keep_alive and self._pieces == 1 and len(data) <= _CACHED_BYTES
        self._last_response = data if worth_it else b""
