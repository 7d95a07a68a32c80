"""Handles requests on threads, for a handler that blocks: one thread for each connection that has sent a request."""

import threading
from collections.abc import Callable
from queue import SimpleQueue

from webhookd.testing.http_exchange import ReceivedRequest

Serve = Callable[[ReceivedRequest], None]


class RequestThread:
    """Serves the requests of one connection, one after another, until it is ended; it never keeps a process alive."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._requests: SimpleQueue[ReceivedRequest | None] = SimpleQueue()
        threading.Thread(target=self._run, name="http-endpoint-request", daemon=True).start()

    def put(self, request: ReceivedRequest) -> None:
        """Serve this request next."""
        self._requests.put(request)

    def end(self) -> None:
        """End the thread after the request that it serves."""
        self._requests.put(None)

    def _run(self) -> None:
        while (request := self._requests.get()) is not None:
            self._serve(request)
