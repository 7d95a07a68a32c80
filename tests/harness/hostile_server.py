"""A server that treats its clients as a script says: raw sockets on 127.0.0.1, one thread per connection."""

import contextlib
import hashlib
import re
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from cryptography.x509 import DNSName, SubjectAlternativeName, load_der_x509_certificate

_PATIENCE_S = 5.0  # a script that waits longer has failed
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Peer:
    """The server's end of one connection; `number` counts connections from 0."""

    def __init__(self, sock: socket.socket, number: int, stopping: threading.Event) -> None:
        self.number = number
        self._sock = sock
        self._stopping = stopping
        self._buffer = b""

    @property
    def resumed(self) -> bool:
        """Whether the client resumed an earlier TLS session."""
        return isinstance(self._sock, ssl.SSLSocket) and bool(self._sock.session_reused)

    @property
    def client_names(self) -> list[str]:
        """The DNS names in the client's certificate."""
        shown = self._sock.getpeercert(binary_form=True) if isinstance(self._sock, ssl.SSLSocket) else None
        if shown is None:
            return []
        extension = load_der_x509_certificate(shown).extensions.get_extension_for_class(SubjectAlternativeName)
        return extension.value.get_values_for_type(DNSName)

    def request(self) -> bytes:
        """The next whole request; empty when the client has closed."""
        head = self.request_head()
        found = _LENGTH.search(head)
        length = int(found.group(1)) if found else 0
        while len(self._buffer) < length and self.receive():
            pass
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return head + body

    def request_head(self) -> bytes:
        """The head of the next request, leaving its body unread; empty when the client has closed."""
        while b"\r\n\r\n" not in self._buffer:
            if not self.receive():
                return b""
        head, end, self._buffer = self._buffer.partition(b"\r\n\r\n")
        return head + end

    def body_digest(self, length: int) -> str:
        """SHA-256 of a body that is read in small pieces, so that the client's buffers fill up."""
        digest = hashlib.sha256(self._buffer)
        got = len(self._buffer)
        while got < length:
            piece = self._sock.recv(8192)
            if not piece:
                break
            digest.update(piece)
            got += len(piece)
        return digest.hexdigest()

    def send_without_delay(self) -> None:
        """Turn off Nagle's algorithm: what is sent does not wait for an acknowledgement of earlier bytes."""
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def answer(self, *responses: bytes) -> None:
        """Answer request after request with these, each sent whole."""
        for response in responses:
            if self.request():
                self.send(response)

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self._sock.sendall(data)

    def drip(self, data: bytes, pause_s: float = 0.0) -> None:
        """Send it byte by byte, until the client closes."""
        for at in range(len(data)):
            self._sock.sendall(data[at : at + 1])
            if self.pause(pause_s):
                return

    def pause(self, pause_s: float) -> bool:
        """Wait; returns true when the server is stopping."""
        return self._stopping.wait(pause_s) if pause_s else self._stopping.is_set()

    def wait_closed(self) -> None:
        """Wait until the client closes its end."""
        with contextlib.suppress(OSError):
            while self._sock.recv(65536):
                pass

    def end_writing(self) -> None:
        """Close the sending half only."""
        self._sock.shutdown(socket.SHUT_WR)

    def end_session(self) -> None:
        """End the TLS session, not the connection (close_notify, RFC 8446 §6.1); without TLS close the sending half."""
        if not isinstance(self._sock, ssl.SSLSocket):
            self.end_writing()
            return
        self._sock.setblocking(False)
        with contextlib.suppress(ssl.SSLWantReadError):  # it is sent; the client's own one is not waited for
            self._sock.unwrap()
        self._sock.settimeout(_PATIENCE_S)

    def receive(self) -> bool:
        """Wait for the next bytes; false when the client has closed, or the server is stopping."""
        try:
            piece = self._sock.recv(65536)
        except ValueError:  # of a TLS socket that the server has closed meanwhile
            return False
        self._buffer += piece
        return bool(piece)

    def relay(self, port: int) -> None:
        """Relay bytes between the client and a port of this machine, until the client closes."""
        with socket.create_connection(("127.0.0.1", port), _PATIENCE_S) as beyond:
            beyond.sendall(self._buffer)
            other = {self._sock: beyond, beyond: self._sock}
            while self._sock in other:
                ready, _, _ = select.select(list(other), [], [], _PATIENCE_S)
                for sock in [sock for sock in ready if not _passed_on(sock, other[sock])]:
                    other.pop(sock).shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close with an RST."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()


def _passed_on(sock: socket.socket, other: socket.socket) -> bool:
    piece = sock.recv(65536)
    other.sendall(piece)
    return bool(piece)


Script = Callable[[Peer], None]


def answering(*responses: bytes) -> Script:
    """A script that answers request after request on every connection, and then closes it."""
    return lambda peer: peer.answer(*responses)


class HostileServer:
    """A context that accepts connections, runs the script for each, and then closes it.

    With a TLS context the handshake comes first; a failed handshake counts as a connection too. An OSError in a script
    (the client has closed) is ignored; any other exception is raised on exit.
    """

    def __init__(self, script: Script, context: ssl.SSLContext | None = None) -> None:
        self._script = script
        self._context = context
        self._stopping = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept, name="hostile-server")]
        self._socks: list[socket.socket] = []
        self._errors: list[Exception] = []
        self.port: int = self._listener.getsockname()[1]
        self.accepted = 0

    def __enter__(self) -> Self:
        """Start to accept connections."""
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close everything, wait for the scripts, and raise their first error."""
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for sock in list(self._socks):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(_PATIENCE_S)
        self._listener.close()
        if self._errors and error is None:
            raise self._errors[0]

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                sock.settimeout(_PATIENCE_S)
                self._socks.append(sock)
                thread = threading.Thread(target=self._serve, args=(sock, self.accepted), name="hostile-peer")
                self.accepted += 1
                self._threads.append(thread)
                thread.start()

    def _serve(self, raw: socket.socket, number: int) -> None:
        sock = raw
        try:
            if self._context is not None:
                sock = self._context.wrap_socket(raw, server_side=True)
                self._socks.append(sock)
            self._script(Peer(sock, number, self._stopping))
        except OSError:
            pass
        except Exception as error:  # noqa: BLE001  # raised on exit
            self._errors.append(error)
        finally:
            sock.close()
