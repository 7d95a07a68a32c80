"""An endpoint that takes so many requests a second and answers each further one with 429."""

import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CHANGES_AT_S = 60
"""When the limit rises, in seconds since the first request."""

BURST_S = 0.25
"""How much of a second's requests the endpoint takes at once."""


class QuietServer(ThreadingHTTPServer):
    """A server that does not print the errors of connections, which end with the worker."""

    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Print nothing."""


class LimitedEndpoint:
    """A server that takes so many requests a second as `limit` says; counts by the second since its first request."""

    def __init__(self) -> None:
        self.taken: Counter[int] = Counter()
        self.refused: Counter[int] = Counter()
        self._began_at = 0.0
        self._full_at = 0.0
        self._lock = threading.Lock()
        self._server = QuietServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def lasts_s(self) -> float:
        """The time since the first request."""
        return time.monotonic() - self._began_at if self._began_at else 0.0

    def close(self) -> None:
        """Stop the server."""
        self._server.shutdown()

    def status(self) -> int:
        """Count a request; returns 200, or 429 above the limit."""
        with self._lock:
            now = time.monotonic()
            self._began_at = self._began_at or now
            second = int(now - self._began_at)
            full_at = max(self._full_at, now) + 1.0 / limit(second)
            if full_at - now > BURST_S:
                self.refused[second] += 1
                return 429
            self._full_at = full_at
            self.taken[second] += 1
            return 200

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                """Read the request and answer."""
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(endpoint.status())
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        return Handler


def limit(second: int) -> int:
    """The requests a second that the endpoint takes."""
    return 100 if second < CHANGES_AT_S else 300
