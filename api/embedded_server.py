"""Serves the API by a thread of the embedded service."""

import threading

from flask import Flask
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server


class QuietHandler(WSGIRequestHandler):
    """Handles requests over HTTP/1.1 without logging them."""

    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing: the application logs what matters."""


class EmbeddedServer:
    """The API in a thread of this process; `port` is the bound port, even if port 0 was requested."""

    def __init__(self, app: Flask, host: str, port: int) -> None:
        self._server: BaseWSGIServer = make_server(host, port, app, threaded=True, request_handler=QuietHandler)
        self.port: int = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, name="api", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Accept no more requests and close the port."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def serve_embedded(app: Flask, host: str = "127.0.0.1", port: int = 0) -> EmbeddedServer:
    """Serve in the background; the port is open when this returns."""
    return EmbeddedServer(app, host, port)
