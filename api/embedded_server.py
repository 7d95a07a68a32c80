"""Serves the API by a thread of the embedded service. It listens on loopback and has a thread for each connection."""

import threading
from http import HTTPStatus

from flask import Flask
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from api.ports import services_of
from api.server_refusals import answer_of, problem_of
from webhookd.metrics.catalogue.api import API_REQUESTS_REFUSED

OLDEST_VERSION = "HTTP/0.9"
"""How http.server calls a request line without a version."""


class QuietHandler(WSGIRequestHandler):
    """Handles requests over HTTP/1.1 without logging them; refuses what is no HTTP as the other server does."""

    protocol_version = "HTTP/1.1"

    def version_string(self) -> str:
        """The header `Server`, without a version."""
        return "webhookd"

    def parse_request(self) -> bool:
        """Parse the head; False when it was refused."""
        parsed = super().parse_request()
        if parsed and self.request_version == OLDEST_VERSION:
            self.send_error(HTTPStatus.BAD_REQUEST)
            return False
        return parsed

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002  # http.server's own signature; the texts repeat parts of the request
        """Refuse a request that does not reach the application."""
        self.close_connection = True
        API_REQUESTS_REFUSED.inc(str(int(code)))
        self.wfile.write(answer_of(problem_of(code)))

    def log_error(self, format: str, *args: object) -> None:  # noqa: A002  # http.server's own signature
        """Log nothing: the texts repeat parts of the request."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing: the application logs what matters."""


class EmbeddedServer:
    """The API in a thread of this process; `port` is the bound port, even if port 0 was requested."""

    def __init__(self, app: Flask, host: str, port: int) -> None:
        handler = type("Handler", (QuietHandler,), {"timeout": services_of(app).settings.api_arrival_timeout_s})
        self._server: BaseWSGIServer = make_server(host, port, app, threaded=True, request_handler=handler)
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
