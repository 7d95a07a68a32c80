"""An HTTP/1.1 endpoint on 127.0.0.1 with keep-alive connections, all on one thread: it answers, late, wrong or not.

with HttpEndpoint(lambda request: Answer(status=204)) as endpoint:
    send_to(endpoint.url)
"""

import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Self

from webhookd.edges.http_client.poller import IN
from webhookd.testing.http_connection import HttpConnection
from webhookd.testing.http_exchange import Answer, ReceivedRequest
from webhookd.testing.request_threads import RequestThread
from webhookd.testing.socket_loop import SocketLoop

__all__ = ["Answer", "Handle", "HttpEndpoint", "ReceivedRequest"]

BACKLOG = 4096
WITHOUT_DESCRIPTOR_S = 0.01
"""The pause after a connection that could not be accepted, such as for want of descriptors: it is reported at once."""

Handle = Callable[[ReceivedRequest], Answer]


class HttpEndpoint:
    """Listens from its creation on, and answers from `start` or `run` on. Creation raises OSError for a taken port.

    `handle` is called on the endpoint's only thread and must return at once; with `blocking` on a thread for each
    connection, where it may block. Requests of one connection are handled one after another. When it raises, the
    connection is closed without an answer; `on_error` gets the error, else `stop` raises the first one.

    `port` 0 takes a free one. `reuse_port` shares the port with other processes that say so too. A connection that
    sends nothing for `idle_s` is closed. A client that closes before its answer, or only ends its sending, gets none.
    """

    def __init__(
        self,
        handle: Handle,
        *,
        port: int = 0,
        reuse_port: bool = False,
        blocking: bool = False,
        idle_s: float | None = None,
        on_error: Callable[[Exception], None] | None = None,
    ) -> None:
        self._handle = handle
        self._reuse_port = reuse_port
        self._idle_s = idle_s
        self._ask = self._ask_thread if blocking else self._ask_here
        self._errors: list[Exception] = []
        self._on_error = on_error or self._errors.append
        self._connections: set[HttpConnection] = set()
        self._threads: dict[HttpConnection, RequestThread] = {}
        self._thread: threading.Thread | None = None
        self._closed = False
        self._listener: socket.socket | None = _listener(port, reuse_port=reuse_port)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._loop = SocketLoop()
        self._loop.poller.add(self._listener.fileno(), self, IN)

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop. An error of `handle` is raised unless another one is on its way."""
        try:
            self.stop()
        except Exception:
            if error is None:
                raise

    def start(self) -> None:
        """Answer on a thread of its own."""
        self._thread = threading.Thread(target=self._serve, name="http-endpoint", daemon=True)
        self._thread.start()
        self._loop.running.wait()

    def run(self) -> None:
        """Answer on this thread until `stop`. Raises the first error of `handle`."""
        self._serve()
        self._raise_error()

    def stop(self) -> None:
        """Close the port and every connection; waits for the endpoint's own thread, not for blocked handlers.

        Raises the first error of `handle`. Another thread, or a signal handler, may call it to end `run`, which
        closes everything then.
        """
        self._loop.stop()
        if self._thread is None:
            if not self._loop.running.is_set():
                self._close()
        elif self._thread is not threading.current_thread():
            self._thread.join()
            self._raise_error()

    def refuse_connections(self) -> None:
        """Close the port and every connection, so that clients are refused. Any thread may call it."""
        self._loop.call_and_wait(self._close_sockets)

    def accept_connections(self) -> None:
        """Listen on the port again. Any thread may call it. Raises OSError when another process has taken it."""
        self._loop.call_and_wait(self._listen)

    def handle_events(self, events: int) -> None:
        """Accept a connection."""
        del events
        listener = self._listener
        if listener is None:
            return
        try:
            sock, _ = listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError:
            time.sleep(WITHOUT_DESCRIPTOR_S)
            return
        sock.settimeout(0)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connections.add(HttpConnection(sock, self._loop, self._ask, self._forget))

    def fail(self) -> None:
        """End it, as Pollable asks."""
        self._loop.stop()

    def _serve(self) -> None:
        if self._idle_s is not None:
            self._loop.later(self._idle_s / 4, partial(self._close_idle, self._idle_s))
        try:
            self._loop.run()
        finally:
            self._close()

    def _ask_here(self, connection: HttpConnection, request: ReceivedRequest) -> Answer | None:
        try:
            return self._handle(request)
        except Exception as error:  # noqa: BLE001  # it is reported
            self._on_error(error)
            connection.close()
            return None

    def _ask_thread(self, connection: HttpConnection, request: ReceivedRequest) -> None:
        thread = self._threads.get(connection)
        if thread is None:
            thread = self._threads[connection] = RequestThread(partial(self._handle_on_thread, connection))
        thread.put(request)

    def _handle_on_thread(self, connection: HttpConnection, request: ReceivedRequest) -> None:
        try:
            answer = self._handle(request)
        except Exception as error:  # noqa: BLE001  # it is reported
            self._on_error(error)
            self._loop.call(connection.close)
        else:
            self._loop.call(partial(connection.resume, answer))

    def _forget(self, connection: HttpConnection) -> None:
        self._connections.discard(connection)
        thread = self._threads.pop(connection, None)
        if thread is not None:
            thread.end()

    def _close_idle(self, idle_s: float) -> None:
        self._loop.later(idle_s / 4, partial(self._close_idle, idle_s))
        longest_ago = time.monotonic() - idle_s
        for connection in [one for one in self._connections if one.idle and one.active_at < longest_ago]:
            connection.close()

    def _listen(self) -> None:
        if self._listener is None:
            self._listener = _listener(self.port, reuse_port=self._reuse_port)
            self._loop.poller.add(self._listener.fileno(), self, IN)

    def _close_sockets(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            self._loop.poller.remove(listener.fileno())
            listener.close()
        for connection in list(self._connections):
            connection.close()

    def _close(self) -> None:
        if not self._closed:
            self._closed = True
            self._close_sockets()
            self._loop.poller.close()

    def _raise_error(self) -> None:
        if self._errors:
            raise self._errors[0]


def _listener(port: int, *, reuse_port: bool) -> socket.socket:
    listener = socket.create_server(("127.0.0.1", port), backlog=BACKLOG, reuse_port=reuse_port)
    listener.settimeout(0)
    return listener
