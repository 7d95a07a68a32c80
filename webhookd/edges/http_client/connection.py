"""One connection to one origin, from connect to close. Events on its file descriptor drive it.

    connecting ─▶ tunnelling (proxy) ─▶ TLS handshake ─▶ open: idle ◀─▶ exchanging ─▶ closed

A connection only sends and receives bytes. Its owner decides what a response or a failure means.
"""

import contextlib
import errno
import socket
import ssl
from collections.abc import Callable
from typing import Protocol

from webhookd.edges.http_client.limits import Limits, Origin
from webhookd.edges.http_client.poller import IN, OUT, Poller
from webhookd.edges.http_client.response_reader import ResponseReader
from webhookd.edges.http_client.tls import TlsContext
from webhookd.edges.http_client.tunnel import Tunnel
from webhookd.flow.attempt.egress_proxy import TunnelOpened, TunnelRefused
from webhookd.flow.attempt.exchange_result import FailureCode

# Larger than a TLS record (16 kB), so that nothing is left in OpenSSL's buffer, which the poller does not see. This is
# also the most that one connection reads before the loop serves the others.
READ_BYTES = 64 * 1024
# A large body is sent in slices, so that the loop also serves the others. OpenSSL requires that a blocked write is
# repeated with the same bytes, so `send` and `_write` use the same slices.
WRITE_BYTES = 128 * 1024
# A server with TLS 1.3 sends session tickets when the handshake ends. Its kernel may hold what it sends next (Nagle's
# algorithm) until this side has acknowledged them, and drops it when the server closes with a part of the request
# unread: an early 413 would be lost. So a new connection sends one TLS record. The rest follows the ticket of a resumed
# session, or comes with the next sweep after the first ticket, or with the second sweep where no ticket comes: up to
# 50 and 100 ms, once for a connection, and only for requests of more than this.
FIRST_TLS_BYTES = 16 * 1024
_HELD_SWEEPS = 2
_QUICK_ACK = getattr(socket, "TCP_QUICKACK", None)  # of Linux only

_CONNECT_CODES = {errno.ECONNREFUSED: FailureCode.CONNECT_REFUSED, errno.ETIMEDOUT: FailureCode.CONNECT_TIMEOUT}
_STILL_CONNECTING = {errno.EINPROGRESS, errno.EALREADY, errno.EWOULDBLOCK}
_CONNECTED = {0, errno.EISCONN}


class ConnectionOwner(Protocol):
    """The current user of the connection: a dial, an exchange or the pool. Called on the loop's thread."""

    def connection_ready(self, connection: "Connection") -> None:
        """The connection is open, or `reader` holds a finished response."""

    def connection_failed(self, connection: "Connection", code: FailureCode, detail: str) -> None:
        """The connection failed or the other side closed it, in any phase. The owner must close it."""


class Connection:
    """A non-blocking socket that is registered with the poller from `connect` to `close`.

    `busy` is true from a request until its response is finished. `unsent` is true while part of the latest request has
    not been sent. `used` is true after the first response: a close without a response then means that it was stale.
    """

    __slots__ = (
        "_address",
        "_fd",
        "_holding",
        "_on_connect",
        "_open",
        "_poller",
        "_recv",
        "_request",
        "_send",
        "_sent",
        "_slice_bytes",
        "_sock",
        "_tls",
        "_tunnel",
        "busy",
        "idle_until_s",
        "origin",
        "owner",
        "reader",
        "unsent",
        "usable_until_s",
        "used",
    )  # fmt: skip

    def __init__(
        self,
        owner: ConnectionOwner,
        poller: Poller,
        limits: Limits,
        origin: Origin,
        tls: TlsContext | None,
        tunnel: Tunnel | None,
        on_connect: Callable[["Connection"], None],
    ) -> None:
        self.owner = owner
        self.origin = origin
        self.reader = ResponseReader(limits)
        self.busy = False
        self.used = False
        self.idle_until_s = 0.0
        self.usable_until_s = 0.0
        self._poller = poller
        self._tls = tls
        self._tunnel = tunnel
        self._on_connect = on_connect  # TCP is connected; tunnel and handshake follow
        self._open = False
        self._slice_bytes = WRITE_BYTES
        self._holding = 0
        self.unsent = False
        self._request = b""
        self._sent = 0

    def connect(self, address: str, port: int) -> None:
        """Start to connect to this address (with a tunnel the proxy's). Raises OSError if that fails at once."""
        self._address = (address, port)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._sock: socket.socket = socket.socket(family, socket.SOCK_STREAM)
        self._fd = self._sock.fileno()
        try:
            self._sock.settimeout(0.0)  # not blocking
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with contextlib.suppress(BlockingIOError):
                self._sock.connect(self._address)
            self._poller.add(self._fd, self, IN | OUT)
        except OSError:
            self._sock.close()
            raise

    def send(self, request: bytes) -> None:
        """Send a request: now as much as the socket takes, the rest later. The connection must not be busy."""
        self.busy = True
        self._request = request
        self._sent = 0
        try:
            self._sent = self._send(request if len(request) <= self._slice_bytes else request[: self._slice_bytes])
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            pass  # `_write` starts from the first byte
        except OSError:
            self.unsent = True
            return  # the other side has closed: the next read returns a response, an end or a reset
        if self._sent != len(request):
            self.unsent = True
            self._holding = _HELD_SWEEPS if self._slice_bytes == FIRST_TLS_BYTES else 0
            self._poller.change(self._fd, IN if self._holding else IN | OUT)

    def sweep(self) -> None:
        """Count the sweeps while the rest of a request waits for the server's session tickets; then send it."""
        if self._holding:
            self._holding -= 1
            if not self._holding:
                self._poller.change(self._fd, IN | OUT)

    def handle_events(self, events: int) -> None:
        """Continue after the poller reported events."""
        if not self._open:
            self._continue_opening()
        elif not (events & ~OUT and self._read()) and events & OUT and self.busy:
            self._write()

    def fail(self) -> None:
        """Report an internal error to the owner; the exception is in the log."""
        self.owner.connection_failed(self, FailureCode.INTERNAL_ERROR, "see the log")

    def close(self) -> None:
        """Close the socket; closing twice is allowed."""
        if self._poller.registered.get(self._fd) is self:
            self._poller.remove(self._fd)
        self._open = self.busy = False
        self._sock.close()

    @property
    def stale(self) -> bool:
        """Whether a failure now means that the other side had closed this kept-alive connection before."""
        return self.busy and self.used and not self.reader.started

    def _continue_opening(self) -> None:
        if not self._tcp_connected() or not self._tunnel_opened():
            return
        if self._tls is None or self._handshake_finished(self._tls):
            self._recv, self._send = self._sock.recv, self._sock.send
            self._open = True
            if isinstance(self._sock, ssl.SSLSocket) and self._sock.version() == "TLSv1.3":
                self._slice_bytes = FIRST_TLS_BYTES
            self._poller.change(self._fd, IN)
            self.owner.connection_ready(self)

    def _tcp_connected(self) -> bool:
        if isinstance(self._sock, ssl.SSLSocket) or (self._tunnel is not None and self._tunnel.request_sent):
            return True
        # After a failure Linux tells its cause also to `connect`, but macOS only here.
        reason = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        # Calling it again is harmless after a spurious event.
        reason = reason or self._sock.connect_ex(self._address)
        if reason in _CONNECTED:
            self._on_connect(self)
            return True
        if reason not in _STILL_CONNECTING:
            code = _CONNECT_CODES.get(reason, FailureCode.CONNECT_FAILED)
            self.owner.connection_failed(self, code, errno.errorcode.get(reason, str(reason)))
        return False

    def _tunnel_opened(self) -> bool:
        if self._tunnel is None:
            return True
        match self._tunnel.advance(self._sock):
            case TunnelOpened():
                self._tunnel = None
                return True
            case TunnelRefused(code, detail):
                self.owner.connection_failed(self, code, detail)
            case None:
                self._poller.change(self._fd, self._tunnel.events)
        return False

    def _handshake_finished(self, tls: TlsContext) -> bool:
        try:
            if not isinstance(self._sock, ssl.SSLSocket):
                self._sock = tls.wrap(self._sock, self.origin)
            self._sock.do_handshake()
        except ssl.SSLWantReadError:
            self._poller.change(self._fd, IN)
        except ssl.SSLWantWriteError:
            self._poller.change(self._fd, IN | OUT)
        except ssl.SSLCertVerificationError as error:
            self.owner.connection_failed(self, FailureCode.TLS_FAILED, tls.failure_detail(error, self.origin))
        except (OSError, ValueError) as error:
            self.owner.connection_failed(self, FailureCode.TLS_FAILED, str(error))
        else:
            tls.handshake_finished(self._sock, self.origin)
            return True
        return False

    def _read(self) -> bool:
        """Read once; returns whether nothing is to be written now: the exchange or connection has ended, or waits."""
        try:
            data = self._recv(READ_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return self._acknowledge_ticket()
        except ssl.SSLError as error:
            # With TLS 1.3 a server refuses the client's certificate only after the handshake.
            return self._handle_end(str(error), FailureCode.CONNECTION_RESET if self.used else FailureCode.TLS_FAILED)
        except OSError as error:
            return self._handle_end(str(error))
        if not data:
            return self._handle_end("closed by the other side")
        if not self.busy:
            self.owner.connection_failed(self, FailureCode.RESPONSE_MALFORMED, "bytes that no request asked for")
            return True
        if not self.reader.feed(data):
            return False
        self._finish_response()
        return True

    def _acknowledge_ticket(self) -> bool:
        """Acknowledge the ticket that OpenSSL has read. After a full handshake most servers send a second one."""
        if not self._holding or not isinstance(self._sock, ssl.SSLSocket):
            return False
        if _QUICK_ACK is not None:
            self._sock.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)
        if self._sock.session_reused:
            self._poller.change(self._fd, IN | OUT)
        else:
            self._holding = 1
        return True

    def _handle_end(self, detail: str, code: FailureCode = FailureCode.CONNECTION_RESET) -> bool:
        if self.busy and self.reader.end():
            self._finish_response()
        else:
            self.owner.connection_failed(self, code, detail)
        return True

    def _finish_response(self) -> None:
        self.busy = False
        if not self.used:
            self.used = True
            self._slice_bytes = WRITE_BYTES
            if self._tls is not None and isinstance(self._sock, ssl.SSLSocket):
                self._tls.store_session(self._sock, self.origin)
        self.owner.connection_ready(self)

    def _write(self) -> None:
        self._holding, self._slice_bytes = 0, WRITE_BYTES
        try:
            with memoryview(self._request) as whole:
                self._sent += self._send(whole[self._sent : self._sent + self._slice_bytes])
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return
        except OSError:
            self._poller.change(self._fd, IN)  # as in `send`
            return
        self.unsent = self._sent != len(self._request)
        if not self.unsent:
            self._poller.change(self._fd, IN)
