"""What answers Prometheus: a WSGI application for `GET /metrics`, in the format that the header Accept asks for."""

from collections.abc import Callable, Iterable
from typing import Any, Final
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import CollectorRegistry, make_wsgi_app

PATH: Final = "/metrics"
METHODS: Final = ("GET", "HEAD")
TEXT: Final = ("Content-Type", "text/plain; charset=utf-8")

Answer = tuple[str, list[tuple[str, str]], bytes]
"""Status, headers and body."""


def scrape_application(registry: CollectorRegistry, failed: Callable[[Exception], None]) -> WSGIApplication:
    """Return the application. It answers 404 to other paths, 405 to what does not read, and 500 when reading failed.

    `failed` is called with the error of the reading.
    """
    metrics = make_wsgi_app(registry)

    def answer(environ: WSGIEnvironment) -> Answer:
        if environ.get("PATH_INFO") != PATH:
            return "404 Not Found", [TEXT], f"only {PATH} is here\n".encode()
        if environ.get("REQUEST_METHOD") not in METHODS:
            return "405 Method Not Allowed", [TEXT, ("Allow", ", ".join(METHODS))], b"GET, HEAD\n"
        try:
            return _read(metrics, environ)
        except Exception as error:  # noqa: BLE001 - the top of a request; the log has the error
            failed(error)
            return "500 Internal Server Error", [TEXT], b"the metrics could not be read; the log says why\n"

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        status, headers, body = answer(environ)
        start_response(status, [*headers, ("Content-Length", str(len(body)))])
        return [] if environ.get("REQUEST_METHOD") == "HEAD" else [body]

    return application


def _read(metrics: WSGIApplication, environ: WSGIEnvironment) -> Answer:
    begun: list[tuple[str, list[tuple[str, str]]]] = []

    def begin(status: str, headers: list[tuple[str, str]], *_rest: Any) -> Callable[[bytes], object]:  # noqa: ANN401  # of WSGI
        begun.append((status, headers))
        return lambda _body: None

    body = b"".join(metrics({**environ, "REQUEST_METHOD": "GET"}, begin))
    return *begun[0], body
