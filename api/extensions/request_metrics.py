"""Counts the requests that reach the application, by operation and status, and how long it works on each.

It is outside the application's own hooks: so it counts every answer as it is sent, whatever made it (a route, a stored
answer, a refusal by the rate limit, a fault), and each request once.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from flask import request

from api.description.operations import operation_id
from webhookd import clock
from webhookd.metrics.catalogue.api import API_REQUEST_DURATION, API_REQUESTS, API_REQUESTS_OPEN

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

UNKNOWN: Final = "unknown"
"""The operation of a request for another URL or with another method, and of the pages for people."""

STATUS_DIGITS: Final = 3


class RequestMetrics:
    """A WSGI application that counts the requests to the Flask application in it."""

    def __init__(self, application: "WSGIApplication") -> None:
        self._application = application

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer the request. When the application raises, the server answers, and counts it as refused."""
        began_at = clock.monotonic()
        API_REQUESTS_OPEN.inc()
        operation, status = UNKNOWN, ""

        def begin(line: str, headers: list[tuple[str, str]], *error: object) -> Callable[[bytes], object]:
            nonlocal operation, status
            operation, status = _operation(), line[:STATUS_DIGITS]
            return start_response(line, headers, *error)  # type: ignore[arg-type]  # the optional third one

        try:
            return self._application(environ, begin)
        finally:
            API_REQUESTS_OPEN.inc(by=-1)
            if status:
                API_REQUESTS.inc(operation, status)
                API_REQUEST_DURATION.observe(clock.monotonic() - began_at, operation)


def _operation() -> str:
    """The operation of the current request; Flask begins its answer before it forgets the request."""
    rule = request.url_rule
    return (operation_id(request.method, rule.rule) if rule is not None else None) or UNKNOWN
