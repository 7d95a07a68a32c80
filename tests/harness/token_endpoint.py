"""An OIDC token endpoint: it answers one client's credentials with an unsigned token, and everybody else with 401."""

import base64
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Final, Self

LIFETIME_S: Final = 4.0
"""So short that a client which does not renew its token is found out: the broker ends its connection."""

PATIENCE_S: Final = 45.0


class TokenEndpoint:
    """A context in which the endpoint listens; `issued` counts its tokens."""

    def __init__(self, client: str, secret: str) -> None:
        self.issued = 0
        self._client = client
        self._credentials = "Basic " + base64.b64encode(f"{client}:{secret}".encode()).decode()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            """Answers POST."""

            def do_POST(self) -> None:
                """One request for a token."""
                self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = endpoint.answer(self.headers["Authorization"])
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it so
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}/token"

    def __enter__(self) -> Self:
        """Begin to answer."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join(PATIENCE_S)
        self._server.server_close()

    def answer(self, authorization: str) -> tuple[int, bytes]:
        """Return the status and the body."""
        if authorization != self._credentials:
            return 401, b'{"error":"invalid_client"}'
        self.issued += 1
        now = time.time()
        claims = {"sub": self._client, "iat": now, "exp": now + LIFETIME_S}
        token = f"{_part({'alg': 'none'})}.{_part(claims)}."
        return 200, json.dumps({"access_token": token, "token_type": "Bearer", "expires_in": LIFETIME_S}).encode()


def _part(document: dict[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")
