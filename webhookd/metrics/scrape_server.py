"""The HTTP server that answers scrapes. Whatever its clients do, it takes few threads and descriptors of the process.

A client that is slow or sends nothing loses its connection after a time, and there are few of them at once. Without
that, anybody who reaches the port could take every thread and descriptor of a process that delivers.
"""

import socket
from dataclasses import dataclass
from selectors import EVENT_READ, BaseSelector
from socketserver import ThreadingMixIn
from threading import Lock
from time import monotonic
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.types import WSGIApplication


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrapeLimits:
    """What clients may take."""

    clients: int = 4
    """Connections at a time, each with a thread. More are closed at once: two Prometheus and a person need three."""

    request_s: float = 30.0
    """How long a connection may last, from its begin to the end of the response. Prometheus waits 10 s by default."""

    accept_retry_s: float = 1.0
    """The pause after a connection could not be accepted, mostly because the process has no free descriptor. The
    listener stays readable then: without a pause the thread would use a whole processor."""


class ScrapeServer(ThreadingMixIn, WSGIServer):
    """Has a thread for each connection, and looks no name up when it begins."""

    daemon_threads = True

    def __init__(self, listener: socket.socket, application: WSGIApplication, limits: ScrapeLimits) -> None:
        self.address_family = listener.family
        super().__init__(listener.getsockname(), _Handler, bind_and_activate=False)
        self.socket.close()
        # Another process that has this listener may have accepted the connection.
        listener.settimeout(0.0)
        self.socket = listener
        self.server_name, self.server_port = listener.getsockname()[:2]
        self.setup_environ()
        self.set_app(application)
        self._limits = limits
        self._deadlines: dict[socket.socket, float] = {}
        self._lock = Lock()

    def serve(self, selector: BaseSelector) -> None:
        """Answer until another file of the selector can be read."""
        selector.register(self, EVENT_READ)
        while all(key.fileobj is self for key, _ in selector.select(self._end_late())):
            if not self._accept():
                selector.unregister(self)
                if selector.select(self._limits.accept_retry_s):
                    return
                selector.register(self, EVENT_READ)

    def _accept(self) -> bool:
        """Begin with a connection; returns whether the next one may be accepted at once."""
        try:
            request, address = self.get_request()
        except (BlockingIOError, ConnectionAbortedError, InterruptedError):
            return True
        except OSError:
            return False
        try:
            self.process_request(request, address)
        except RuntimeError:  # no thread can be started
            self.shutdown_request(request)
        return True

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as typeshed has it
        """Answer in a new thread; close the connection if there are too many. Raises RuntimeError without a thread."""
        if len(self._deadlines) >= self._limits.clients:
            self.shutdown_request(request)
            return
        with self._lock:
            self._deadlines[request] = monotonic() + self._limits.request_s
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - as typeshed has it
        """Close a connection; called in its thread."""
        with self._lock:
            self._deadlines.pop(request, None)
        super().shutdown_request(request)

    def _end_late(self) -> float | None:
        """End the connections that last too long; returns the seconds until the next one may, None without any.

        Its thread finds the connection at its end, and closes it. It is not closed while this holds the lock: another
        file could get its descriptor.
        """
        now = monotonic()
        with self._lock:
            late = [request for request, deadline in self._deadlines.items() if deadline <= now]
            for request in late:
                _shut_down(request)
                del self._deadlines[request]
            return max(0.0, min(self._deadlines.values()) - now) if self._deadlines else None

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore a client that has left; standard error is for log lines."""


class _Handler(WSGIRequestHandler):
    """Logs no requests: Prometheus sends one every few seconds."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the standard library's own signature
        """Log nothing."""


def _shut_down(request: socket.socket) -> None:
    try:
        request.shutdown(socket.SHUT_RDWR)
    except OSError:  # the client has left
        return
