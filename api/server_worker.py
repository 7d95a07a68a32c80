"""gunicorn's worker process with threads, changed so that a slow client takes no thread.

gunicorn's own worker gives a connection to a thread at its first byte, and the thread waits for the others: as many
slow clients as threads stop the API. Here the loop of the worker process reads all requests and sends what a client
does not take at once. A thread gets a request that is whole, and no thread waits for a client.

    accepted → arriving → in a thread → answering → kept alive → arriving …
                  │                         └→ closing: what the client still sends is read and dropped for a while
                  └→ refused → closing
"""

from concurrent.futures import Future
from errno import EAGAIN, ECONNABORTED
from functools import partial
from http import HTTPStatus
from selectors import EVENT_READ, EVENT_WRITE
from socket import SHUT_WR, socket
from time import monotonic
from typing import Any, Final

from gunicorn.util import write_nonblock
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, TConn, ThreadWorker

from api.incoming_request import IncomingRequest, Overloaded, TooSlow, Truncated
from api.outgoing_response import OutgoingResponse, ThreadView
from api.ports import services_of
from api.server_refusals import answer_of, problem_of, status_of
from webhookd import logs
from webhookd.metrics.catalogue.api import API_REQUESTS_REFUSED

READ_BYTES: Final = 64 * 1024
HELD_BYTES: Final = 64 * 1024 * 1024
"""What requests and unsent answers may take of the memory of a worker process, besides one request of any size."""
SEND_S: Final = 10.0
"""How long a client may take to read an answer."""
CLOSE_S: Final = 2.0
"""How long a closed connection is still read: to close it at once may destroy the answer on its way (RFC 9112, 9.6)."""
CHECK_S: Final = 0.25
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

_log = logs.get(__name__)


class Connection(TConn):
    """A connection with the request that arrives on it, and the part of the answer that the client has not taken."""

    incoming: IncomingRequest
    outgoing: OutgoingResponse
    deadline: float
    """When it is closed, unless it gets on before; of the monotonic clock."""
    held_bytes = 0


class BufferingWorker(ThreadWorker):
    """A worker process whose loop reads and sends. All methods but the `handle…` ones run in the loop's thread."""

    metrics_number = 0
    """Names the files with its metrics."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # gunicorn's own signature
        super().__init__(*args, **kwargs)
        self._arriving: dict[Connection, None] = {}
        self._answering: dict[Connection, bool] = {}
        """Each with whether it is kept alive afterwards."""
        self._closing: dict[Connection, None] = {}
        self._held_bytes = 0
        self._next_check = 0.0

    def init_signals(self) -> None:
        """Handle gunicorn's signals and SIGUSR2, which gunicorn has end a worker process."""
        super().init_signals()
        self.app.debug_signal.install()

    def accept(self, listener: socket) -> None:
        """Accept a connection and wait for its first request."""
        try:
            client, address = listener.accept()
        except OSError as error:
            if error.errno in {EAGAIN, ECONNABORTED}:
                return
            raise
        self.nr_conns += 1
        connection = Connection(self.cfg, client, address, listener.getsockname())
        connection.initialized = connection.data_ready = True  # gunicorn's threads must not wait for data
        self._expect(connection)

    def on_client_socket_readable(self, connection: Connection, client: socket) -> None:
        """Wait for the next request of a connection that was kept alive, whose first bytes are there."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(connection)
        self._expect(connection)

    def finish_request(self, connection: Connection, future: Future[bool]) -> None:
        """Send the rest of the answer; called when the thread is done with the request."""
        kept = bool(not future.cancelled() and future.exception() is None and future.result())
        connection.sock.settimeout(0.0)
        if not connection.outgoing.unsent:
            self._go_on(connection, kept=kept)
            return
        self._hold(connection, len(connection.outgoing.unsent))
        connection.deadline = monotonic() + SEND_S
        self._answering[connection] = kept
        self.poller.register(connection.sock, EVENT_WRITE, partial(self._send, connection))

    def murder_pending(self) -> None:
        """End what takes too long; gunicorn calls it in each round of the loop."""
        now = monotonic()
        if now < self._next_check:
            return
        self._next_check = now + CHECK_S
        for connection in [one for one in self._arriving if one.deadline <= now]:
            self._end_arrival(connection, TooSlow())
        for waiting in (self._answering, self._closing):
            for connection in [one for one in waiting if one.deadline <= now]:
                self.poller.unregister(connection.sock)
                waiting.pop(connection)
                self._drop(connection)

    def _cap_keepalive(self, deadline: float) -> None:
        """Let no connection outlive a stop for long; called when gunicorn stops accepting."""
        super()._cap_keepalive(deadline)
        for connection in self._arriving:
            connection.deadline = min(connection.deadline, deadline)

    def handle_request(self, request: Any, connection: Connection) -> bool:  # noqa: ANN401  # gunicorn's
        """Answer a request in a thread; raises what gunicorn's `handle` turns into an answer."""
        if not connection.incoming.whole:
            request.force_close()
        connection.incoming.decode()
        view = ThreadView(connection.outgoing, connection.client, connection.server)
        kept = bool(super().handle_request(request, view))
        connection.outgoing.send(connection.sock)
        return kept

    def handle_error(self, request: Any, client: socket, address: Any, error: Exception) -> None:  # noqa: ANN401  # gunicorn's
        """Answer a request that did not reach the application, or one whose answer could not be made."""
        status = status_of(error)
        problem = problem_of(status)
        place = address[0] if isinstance(address, tuple) else ""
        API_REQUESTS_REFUSED.inc(str(int(status)))
        if status == HTTPStatus.INTERNAL_SERVER_ERROR:
            path = getattr(request, "path", "")
            _log.error("request_failed", code="internal", path=path, instance=problem.instance, exc_info=error)
        else:
            _log.info("request_refused", code=problem.code, status=int(status), address=place)
        try:
            write_nonblock(client, answer_of(problem))
        except OSError as failed:
            _log.debug("client_left", path="", error=str(failed))

    def _expect(self, connection: Connection, received: bytes = b"") -> None:
        """Wait for a request whose first bytes may be there."""
        settings = services_of(self.wsgi).settings
        connection.incoming = IncomingRequest(self.cfg, connection.client, settings.api_body_bytes)
        connection.outgoing = OutgoingResponse()
        connection.parser = connection.incoming
        connection.deadline = monotonic() + settings.api_arrival_timeout_s
        connection.sock.settimeout(0.0)
        self.poller.register(connection.sock, EVENT_READ, partial(self._read, connection))
        self._arriving[connection] = None
        if received:
            self._feed(connection, received)

    def _read(self, connection: Connection, client: socket) -> None:
        try:
            data = client.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._feed(connection, data)
        else:
            self._end_arrival(connection, Truncated())

    def _feed(self, connection: Connection, data: bytes) -> None:
        incoming = connection.incoming
        incoming.feed(data)
        self._hold(connection, incoming.size_bytes)
        if self._held_bytes > HELD_BYTES + services_of(self.wsgi).settings.api_body_bytes:
            incoming.refuse(Overloaded())
        if incoming.done:
            self._serve_or_refuse(connection)
        elif incoming.continues():
            self._ask_for_body(connection)

    def _ask_for_body(self, connection: Connection) -> None:
        try:
            write_nonblock(connection.sock, CONTINUE)
        except OSError:
            self._end_arrival(connection, Truncated())

    def _end_arrival(self, connection: Connection, error: Exception) -> None:
        """Refuse a request that is not whole; a connection on which none has begun is closed without an answer."""
        if connection.incoming.size_bytes:
            connection.incoming.refuse(error)
            self._serve_or_refuse(connection)
        else:
            self._stop_reading(connection)
            self._drop(connection)

    def _serve_or_refuse(self, connection: Connection) -> None:
        self._stop_reading(connection)
        error = connection.incoming.error
        if error is None:
            self.enqueue_req(connection)
        else:
            self.handle_error(connection.incoming.request, connection.sock, connection.client, error)
            self._close(connection)

    def _stop_reading(self, connection: Connection) -> None:
        self.poller.unregister(connection.sock)
        del self._arriving[connection]

    def _send(self, connection: Connection, client: socket) -> None:
        try:
            connection.outgoing.send(client)
        except OSError:
            connection.outgoing.unsent.clear()
            self._answering[connection] = False
        if not connection.outgoing.unsent:
            self.poller.unregister(client)
            self._go_on(connection, kept=self._answering.pop(connection))

    def _go_on(self, connection: Connection, *, kept: bool) -> None:
        """Keep the connection for another request, or close it; its answer is sent."""
        rest = connection.incoming.unreader.rest() if kept else b""
        self._hold(connection, 0)
        if not kept:
            self._close(connection)
        elif rest:
            self._expect(connection, rest)
        else:
            self._keep(connection)

    def _keep(self, connection: Connection) -> None:
        """Wait for another request, at most for gunicorn's `keepalive`; a stopping worker waits less."""
        connection.parser = None
        del connection.incoming, connection.outgoing
        connection.set_timeout()
        if not self.alive:
            connection.timeout = min(connection.timeout, monotonic() + STOP_KEEPALIVE_LINGER)
        self.keepalived_conns.append(connection)
        self.poller.register(connection.sock, EVENT_READ, partial(self.on_client_socket_readable, connection))

    def _close(self, connection: Connection) -> None:
        """Send the end of the connection, and close it when the client has done so too, or after a while."""
        self._hold(connection, 0)
        try:
            connection.sock.settimeout(0.0)
            connection.sock.shutdown(SHUT_WR)
        except OSError:
            self._drop(connection)
            return
        connection.deadline = monotonic() + CLOSE_S
        self._closing[connection] = None
        self.poller.register(connection.sock, EVENT_READ, partial(self._drain, connection))

    def _drain(self, connection: Connection, client: socket) -> None:
        try:
            left = not client.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            left = True
        if left:
            self.poller.unregister(client)
            del self._closing[connection]
            self._drop(connection)

    def _hold(self, connection: Connection, size_bytes: int) -> None:
        """Count the memory that a connection takes."""
        self._held_bytes += size_bytes - connection.held_bytes
        connection.held_bytes = size_bytes

    def _drop(self, connection: Connection) -> None:
        self._hold(connection, 0)
        self.nr_conns -= 1
        connection.close()
