"""An endpoint that counts what it receives: HTTP/1.1 with keep-alive connections, one thread for each.

It responds 204 to a request after it has counted it, 404 to an unknown path and 400 to a body that is not webhookd's.
While a path fails, it responds 500 and counts nothing but the request.
"""

import socket
import socketserver
import threading
from collections.abc import Sequence
from io import BufferedIOBase

import msgspec

from webhookd import clock
from webhookd.clock import WallClock
from webhookd.testing.offset_tally import Body, Tally

_Request = socket.socket | tuple[bytes, socket.socket]

_decode = msgspec.json.Decoder(Body).decode


class CheckingReceiver:
    """Listens on loopback from its creation on. `tallies` are by path; each request notifies `changed`."""

    def __init__(self, paths: Sequence[str], *, wall_clock: WallClock = clock.wall_clock) -> None:
        self.tallies = {path: Tally() for path in paths}
        self.changed = threading.Condition()
        self.first_requests: dict[str, bytes] = {}
        """The first request that was counted, with its head, by path."""
        self.failed_requests = dict.fromkeys(paths, 0)
        self.failing: set[str] = set()
        """The paths that fail; any thread may change it."""
        self._wall_clock = wall_clock
        self._server = _Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="receiver", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close the port and every connection."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def count(self, path: str, head: bytes, body: bytes) -> int:
        """Count one request; returns the HTTP status."""
        tally = self.tallies.get(path)
        if tally is None:
            return 404
        try:
            messages = _decode(body).messages
        except msgspec.DecodeError:
            return 400
        with self.changed:
            if path in self.failing:
                self.failed_requests[path] += 1
                return 500
            self.first_requests.setdefault(path, head + body)
            tally.add(messages, self._wall_clock())
            self.changed.notify_all()
        return 204


class _Server(socketserver.ThreadingTCPServer):
    """A server that closes its open connections when it is closed, so that their threads end."""

    daemon_threads = False
    block_on_close = True
    request_queue_size = 128

    def __init__(self, receiver: CheckingReceiver) -> None:
        self.receiver = receiver
        self._open: dict[int, socket.socket] = {}
        super().__init__(("127.0.0.1", 0), _Connection)

    def process_request(self, request: _Request, client_address: object) -> None:
        """Serve a connection on its own thread."""
        if isinstance(request, socket.socket):
            self._open[id(request)] = request
        super().process_request(request, client_address)

    def close_request(self, request: _Request) -> None:
        """Forget a connection that has ended."""
        self._open.pop(id(request), None)
        super().close_request(request)

    def server_close(self) -> None:
        """Close the port and all connections, and wait for the threads."""
        for connection in list(self._open.values()):
            _hang_up(connection)
        super().server_close()


class _Connection(socketserver.StreamRequestHandler):
    """Serves the requests of one connection until the client closes it."""

    disable_nagle_algorithm = True
    server: _Server

    def handle(self) -> None:
        """Serve the connection."""
        try:
            while (request := _read_request(self.rfile)) is not None:
                status = self.server.receiver.count(*request)
                self.request.sendall(b"HTTP/1.1 %d Seen\r\nContent-Length: 0\r\n\r\n" % status)
        except OSError:
            return  # the client, or `stop`, has closed the connection


def _read_request(stream: BufferedIOBase) -> tuple[str, bytes, bytes] | None:
    """The path, the head and the body of the next request; None at the end of the connection."""
    head = [stream.readline(4096)]
    words = head[0].split()
    if len(words) != 3:
        return None
    length = 0
    while (line := stream.readline(16384)) not in {b"\r\n", b""}:
        head.append(line)
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return words[1].decode("ascii", "replace"), b"".join([*head, b"\r\n"]), stream.read(length)


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the other side has closed it before
