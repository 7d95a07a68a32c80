"""Reads responses off one connection, one after another, out of whatever pieces they arrive in."""

import httptools

from webhookd.edges.http_client.limits import Limits
from webhookd.flow.attempt.exchange_result import FailureCode
from webhookd.flow.attempt.response_head import ends_with_connection

_END_OF_HEAD = b"\r\n\r\n"
_REMEMBERED_BYTES = 4096  # for each connection; larger answers are rarely the same twice


class ResponseReader:
    """The response that is arriving: `feed` until it is over, then read `fault` or `status`, `head` and `body`.

    Over means: complete, or enough of it seen. `fault` names what is wrong with it, if anything; `keep_alive` says
    whether another request may follow on the connection. The next `feed` starts the next response. Interim (1xx)
    responses are skipped. The methods named `on_…` are the parser's.
    """

    __slots__ = (
        "_arrived", "_body_bytes", "_interim", "_junk", "_kept", "_limits", "_metadata", "_parser", "_pieces",
        "body", "fault", "head", "keep_alive", "over", "status",
    )  # fmt: skip

    status: int
    head: bytes
    body: bytes
    fault: FailureCode | None
    keep_alive: bool
    over: bool
    _arrived: bytes  # of heads only
    _kept: list[bytes]
    _pieces: int

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._parser = httptools.HttpResponseParser(self)
        self._metadata = b""
        self._start()

    def feed(self, data: bytes) -> bool:
        """Whether the response is over with these bytes.

        Many endpoints answer the same bytes every time (their Date changes once a second): a response that came in
        one piece is remembered, and when the very same bytes come again nothing is parsed. The parser stands between
        two messages then, so it would say the same.
        """
        if self.over:
            if data == self._metadata:
                return True
            self._start()
        self._pieces += 1
        if not self.head:
            self._arrived += data
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.fault = self.fault or FailureCode.RESPONSE_MALFORMED
        except httptools.HttpParserError:
            self._junk = True
        return self._judge(data)

    def end(self) -> bool:
        """Whether the end of the connection makes what has arrived of a response a whole one.

        `over` still speaks of the response before, as long as nothing of this one has arrived: that one must not be
        taken for an answer to a request it never saw.
        """
        if self.over or not self.head or not ends_with_connection(self.head):
            return False
        self.body = b"".join(self._kept)
        self.over = True
        return True

    @property
    def begun(self) -> bool:
        """Whether any byte of the response that is under way has arrived."""
        return not self.over and self._pieces > 0

    def on_message_begin(self) -> None:
        """A byte that belongs to a message; one too many when the response is over already."""
        if self.over:
            self._junk = True

    def on_headers_complete(self) -> None:
        """The head has arrived, the one of an interim response included."""
        if self._junk or self.fault:
            return
        self.status = self._parser.get_status_code()
        head, _, rest = self._arrived.lstrip(b"\r\n").partition(_END_OF_HEAD)  # the parser skips blank lines too
        if self.status >= 200:
            self.head, rest = head, b""
        self._arrived = rest

    def on_body(self, data: bytes) -> None:
        """A piece of the body; what is past the bound is counted and dropped."""
        if self._junk:
            return
        room = self._limits.response_bytes - self._body_bytes
        self._body_bytes += len(data)
        if room > 0:
            self._kept.append(data if len(data) <= room else data[:room])

    def on_message_complete(self) -> None:
        """The end of a response, unless it was an interim one."""
        if self._junk:
            return
        if self.status < 200:
            self._interim += 1
            if self._interim > self._limits.interim_responses or self.status == 101:
                self.fault = FailureCode.RESPONSE_MALFORMED
            return
        self.keep_alive = self._parser.should_keep_alive()
        self.over = True

    def _start(self) -> None:
        self.status = 0
        self.head = b""
        self.body = b""
        self.fault = None
        self.keep_alive = False
        self.over = False
        self._arrived = b""
        self._kept = []
        self._body_bytes = 0
        self._pieces = 0
        self._interim = 0
        self._junk = False

    def _judge(self, data: bytes) -> bool:
        """What the pieces read so far amount to."""
        if self.fault is None and max(len(self._arrived), len(self.head)) > self._limits.head_bytes:
            self.fault = FailureCode.RESPONSE_TOO_LARGE
        if self.fault is None and self._junk and not self.over:
            self.fault = FailureCode.RESPONSE_MALFORMED
        if self.fault is not None:
            self.over = True
        elif self.over:
            self.body = b"".join(self._kept)
            self._remember(data)
        elif self._body_bytes > self._limits.response_bytes + self._limits.drained_bytes:
            self.body = b"".join(self._kept)
            self.over = True  # enough to answer with; `keep_alive` is still False
        return self.over

    def _remember(self, data: bytes) -> None:
        if self._junk:  # behind the response: it was one all the same, but nothing may follow it
            self.keep_alive = False
        worth_it = self.keep_alive and self._pieces == 1 and len(data) <= _REMEMBERED_BYTES
        self._metadata = data if worth_it else b""
