"""One connection of an HTTP endpoint: reads requests, asks for the answers, and gives them, right or wrong."""

import contextlib
import socket
import time
from collections.abc import Callable
from functools import partial

from webhookd.edges.http_client.poller import IN, OUT
from webhookd.testing.http_exchange import Answer, BadRequest, Misbehaviour, ReceivedRequest
from webhookd.testing.request_parser import RequestParser
from webhookd.testing.socket_loop import SocketLoop

READ_BYTES = 65_536
"""Below malloc's threshold for mapping memory: a larger buffer would be mapped and unmapped for each request."""

LINGER_S = 2.0
"""How long a connection that the endpoint ends stays open for reading, so that the client gets the last answer."""

DRIP_INTERVAL_S = 0.2
HALF = b"HTTP/1.1 20"
DRIPPED = b"HTTP/1.1 200 "
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_BAD_REQUEST = Answer(status=400, headers={"Connection": "close"})

Ask = Callable[["HttpConnection", ReceivedRequest], Answer | None]
"""Returns the answer; None when it comes later, by `HttpConnection.resume`."""

Forget = Callable[["HttpConnection"], None]


class HttpConnection:
    """Lives on its loop's thread. One request at a time: the next one is read when the last one is answered."""

    def __init__(self, sock: socket.socket, loop: SocketLoop, ask: Ask, forget: Forget) -> None:
        self.active_at = time.monotonic()
        self.closed = False
        self._sock = sock
        self._loop = loop
        self._ask = ask
        self._forget = forget
        self._parser = RequestParser()
        self._busy = False
        self._draining = False
        self._closes = False
        self._without_body = False
        self._unsent = b""
        loop.poller.add(sock.fileno(), self, IN)

    @property
    def idle(self) -> bool:
        """Whether it waits for the client."""
        return not self._busy

    def handle_events(self, events: int) -> None:
        """Read what has arrived, and send what could not be sent yet."""
        if events & OUT and self._unsent:
            self._send_rest()
        if events & ~OUT and not self.closed:
            self._read()

    def fail(self) -> None:
        """End it, as Pollable asks."""
        self.close()

    def close(self) -> None:
        """Close it at once."""
        if self.closed:
            return
        self.closed = True
        self._loop.poller.remove(self._sock.fileno())
        self._sock.close()
        self._forget(self)

    def resume(self, answer: Answer) -> None:
        """Give the answer that comes later, and go on with what has arrived meanwhile."""
        if not self.closed:
            self.active_at = time.monotonic()
            self._answer(answer)
            self._serve()

    def _read(self) -> None:
        try:
            data = self._sock.recv(READ_BYTES)
        except BlockingIOError:
            return  # an event of the descriptor's former owner
        except OSError:
            data = b""
        if not data:
            self.close()
        elif not self._draining:
            self.active_at = time.monotonic()
            self._parser.feed(data)
            self._serve()

    def _serve(self) -> None:
        """Ask for the answers to the requests that are there."""
        while not (self._busy or self._draining or self.closed):
            try:
                request = self._parser.take()
            except BadRequest:
                self._closes = True
                self._give(_BAD_REQUEST)
                return
            if request is None:
                if self._parser.wants_continue():
                    self._send(_CONTINUE)
                return
            self._busy, self._closes, self._without_body = True, request.closes, request.method == "HEAD"
            answer = self._ask(self, request)
            if answer is not None:
                self._answer(answer)

    def _answer(self, answer: Answer) -> None:
        if answer.delay_s:
            self._loop.later(answer.delay_s, partial(self._give_late, answer))
        else:
            self._give(answer)

    def _give_late(self, answer: Answer) -> None:
        if not self.closed:
            self.active_at = time.monotonic()
            self._give(answer)
            self._serve()

    def _give(self, answer: Answer) -> None:
        if answer.misbehaviour is not None:
            self._misbehave(answer.misbehaviour)
            return
        self._busy = False
        self._send(answer.head if self._without_body else answer.response)

    def _send(self, data: bytes) -> None:
        """Send it, now or when the client has read enough."""
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return
        if sent < len(data):
            self._busy, self._unsent = True, data[sent:]
            self._loop.poller.change(self._sock.fileno(), IN | OUT)
        elif self._closes and not self._busy:
            self._linger()

    def _send_rest(self) -> None:
        data, self._unsent = self._unsent, b""
        self._busy = False
        self._loop.poller.change(self._sock.fileno(), IN)
        self._send(data)
        self._serve()

    def _linger(self) -> None:
        """End the sending half, and read until the client has closed: closing would take back what it has not read."""
        self._draining = True
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
        self._loop.later(LINGER_S, self.close)

    def _misbehave(self, how: Misbehaviour) -> None:
        self._draining = True
        match how:
            case Misbehaviour.HANG:
                pass
            case Misbehaviour.BREAK:
                self._send_piece(HALF)
                self.close()
            case Misbehaviour.DRIP:
                self._send_piece(DRIPPED)
                self._drip()

    def _drip(self) -> None:
        """Send a byte of the status line now and then: a whole line would acknowledge the request."""
        if not self.closed:
            self._loop.later(DRIP_INTERVAL_S, self._drip)
            self._send_piece(b"x")

    def _send_piece(self, data: bytes) -> None:
        try:
            self._sock.send(data)
        except BlockingIOError:
            return  # the client does not read
        except OSError:
            self.close()
