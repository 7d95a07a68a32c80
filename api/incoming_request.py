"""One HTTP request while it arrives: collects its bytes, and says when it is whole or must be refused.

gunicorn's own parser reads the head as soon as that is complete, so nothing else decides where a request ends. Nothing
here waits or touches a socket: what a thread reads from the request later is in memory.
"""

import re
from typing import Any, Final

from gunicorn.config import Config
from gunicorn.http.body import Body, ChunkedReader, LengthReader
from gunicorn.http.errors import InvalidRequestLine, LimitRequestHeaders, LimitRequestLine, NoMoreData
from gunicorn.http.message import Request
from gunicorn.http.unreader import Unreader

from api.chunked_body import BrokenChunk, ChunkedBody

HEAD_BYTES: Final = 32 * 1024
"""The size of request line and headers together."""
SLICE_BYTES: Final = 8192
"""How much gunicorn's parser gets at a time: it copies what it has got for each chunk of a chunked body."""
DISCARD_BYTES: Final = 16 * 1024 * 1024
"""A body that is too large is read and dropped up to this size, so that the client gets the response."""
FRAMING_BYTES: Final = 64 * 1024
"""A chunked body may take twice the body limit and this on the wire; one in tiny chunks is refused."""

_BARE_LF: Final = re.compile(rb"(?<!\r)\n")
_METHOD_BEGINS: Final = re.compile(rb"[A-Z]|\r(\n|$)")


class Truncated(Exception):
    """The connection was closed in the middle of a request."""


class TooSlow(Exception):
    """The request did not arrive in time."""


class BodyTooLarge(Exception):
    """A body without a Content-Length is larger than the limit."""


class Overloaded(Exception):
    """The requests that arrive at this moment take up the memory for them."""


class ReceivedBytes(Unreader):
    """What gunicorn's parser reads from: bytes in memory. `read_past_end` says that it wanted more than there was."""

    def __init__(self, data: bytes = b"") -> None:
        super().__init__()
        self.received = bytearray(data)
        self.read_past_end = False
        self._at = 0

    def chunk(self, size_hint: int | None = None) -> bytes:
        """Return the next bytes; empty at the end, as if the client had closed the connection."""
        piece = bytes(self.received[self._at : self._at + max(SLICE_BYTES, size_hint or 0)])
        self._at += len(piece)
        self.read_past_end = self.read_past_end or not piece
        return piece

    def rest(self) -> bytes:
        """Return what nobody has read."""
        return bytes(self.take_buffered()) + bytes(self.received[self._at :])


class LengthBody:
    """Counts through a body whose length is known, as ChunkedBody does through one in chunks."""

    def __init__(self, length: int) -> None:
        self.content_bytes = length
        self._left_bytes = length

    @property
    def ended(self) -> bool:
        """Whether all of it has arrived."""
        return self._left_bytes == 0

    def feed(self, data: bytes) -> int:
        """Take the next bytes; return how many of them belong to the body."""
        taken = min(self._left_bytes, len(data))
        self._left_bytes -= taken
        return taken


class IncomingRequest:
    """A request of one peer, with a limit for its body; gunicorn's threads use it as the parser of the connection.

    `whole` says that all of it has arrived. A body with a length over the limit is dropped: the application refuses it
    by its length, and nothing else may be read from the connection.
    """

    def __init__(self, config: Config, peer: Any, body_limit_bytes: int) -> None:  # noqa: ANN401  # gunicorn's
        self._config, self._peer, self._limit_bytes = config, peer, body_limit_bytes
        self._body: LengthBody | ChunkedBody = LengthBody(0)
        self._dropped_bytes = 0
        self.unreader = ReceivedBytes()
        self.request: Any = None
        self.error: Exception | None = None
        self.whole = False
        self.done = False
        """Whether nothing more has to arrive before it is served or refused."""

    @property
    def size_bytes(self) -> int:
        """How much memory its bytes take."""
        return len(self.unreader.received)

    def feed(self, data: bytes) -> None:
        """Take bytes of the connection; those after the end of the request are kept for the next one."""
        if self.request is None:
            data = self._feed_head(data)
        if self.request is not None and not self.done:
            self._feed_body(data)

    def refuse(self, error: Exception) -> None:
        """End it with this error, unless it has another one."""
        self.error = self.error or error
        self.done = True

    def continues(self) -> bool:
        """Whether to send 100 (Continue) now, for which the client waits with the body; True once."""
        waits = self.request is not None and not self.done and self.request._expected_100_continue  # noqa: SLF001  # gunicorn has no other name for it
        if waits:
            self.request._expected_100_continue = False  # noqa: SLF001  # gunicorn would send it a second time
        return bool(waits)

    def decode(self) -> None:
        """Decode a chunked body, so that the application cannot meet a broken one. Raises gunicorn's ParseException."""
        if isinstance(self._body, ChunkedBody):
            content = self.request.body.read()
            self.request.body = Body(LengthReader(ReceivedBytes(content), len(content)))

    def __next__(self) -> Any:  # noqa: ANN401  # gunicorn's Request
        """Return the request, as gunicorn's own parser does."""
        return self.request

    def finish_body(self, deadline: float | None = None, max_bytes: int | None = None) -> bool:  # noqa: ARG002  # gunicorn's own signature
        """Read what the application has not read; return whether the connection can carry another request."""
        while self.whole and self.request.body.read(SLICE_BYTES):
            pass
        return self.whole and not self.unreader.read_past_end

    def _feed_head(self, data: bytes) -> bytes:
        """Collect the head, and parse it at its end; return the first bytes of the body."""
        received = self.unreader.received
        scanned = max(0, len(received) - 3)
        received += data
        end = received.find(b"\r\n\r\n", scanned)
        if error := self._error_in_head(scanned, end if end >= 0 else len(received)):
            self.refuse(error)
        if end < 0 or self.error:
            return b""
        body = bytes(received[end + 4 :])
        del received[end + 4 :]
        self._parse()
        return body

    def _error_in_head(self, scanned: int, end: int) -> Exception | None:
        """What is wrong with a head that may be incomplete; gunicorn's parser would wait for the rest."""
        received, line_limit = self.unreader.received, self._config.limit_request_line + 2
        if received and not _METHOD_BEGINS.match(received):
            error: Exception | None = InvalidRequestLine("no method")
        elif end > line_limit and received.find(b"\r\n", 2, line_limit + 2) < 0:
            error = LimitRequestLine(end, line_limit)
        elif _BARE_LF.search(received, scanned, end):
            error = InvalidRequestLine("bare LF as line terminator")
        else:
            error = LimitRequestHeaders("too large") if end > HEAD_BYTES else None
        return error

    def _parse(self) -> None:
        try:
            request = Request(self._config, self.unreader, self._peer)
        except NoMoreData as error:
            self.refuse(InvalidRequestLine(str(error)))
        except Exception as error:  # noqa: BLE001  # whatever it is, the request is refused with it
            self.refuse(error)
        else:
            self.request, reader = request, request.body.reader
            self._body = ChunkedBody() if isinstance(reader, ChunkedReader) else LengthBody(reader.length)

    def _feed_body(self, data: bytes) -> None:
        try:
            taken = self._body.feed(data)
        except BrokenChunk as error:
            self.refuse(error)
            return
        kept = not self._dropped_bytes and not self._too_large()
        if kept:
            self.unreader.received += data
        else:
            self._dropped_bytes += taken
        self.whole = kept and self._body.ended
        unwanted = not kept and (self._dropped_bytes >= DISCARD_BYTES or self.request._expected_100_continue)  # noqa: SLF001
        self.done = self.whole or self._body.ended or unwanted
        if self.done:
            self.request._expected_100_continue = False  # noqa: SLF001  # gunicorn would send it before the answer

    def _too_large(self) -> bool:
        """Whether the body is over the limit; one without a length is then refused here."""
        large = self._body.content_bytes > self._limit_bytes
        if isinstance(self._body, ChunkedBody):
            large = large or self.size_bytes > HEAD_BYTES + 2 * self._limit_bytes + FRAMING_BYTES
            self.error = BodyTooLarge() if large else None
        return large
