"""The problem documents of requests that never reach the application, since they are no HTTP that can be served.

The text of gunicorn's errors is neither answered nor logged: it repeats parts of the request, an API key included.
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Final
from uuid import uuid4

from gunicorn.http import errors

from api.chunked_body import BrokenChunk
from api.extensions.error_responses import INTERNAL, LOGGED, TITLES, TRY_AGAIN_S, TooLarge, from_status, title_of
from api.extensions.problem import MEDIA_TYPE, Problem
from api.extensions.response_headers import SECURITY_HEADERS
from api.incoming_request import BodyTooLarge, Overloaded, TooSlow, Truncated

STATUS: Final[Sequence[tuple[tuple[type[Exception], ...], HTTPStatus]]] = (
    ((TooSlow,), HTTPStatus.REQUEST_TIMEOUT),
    ((BodyTooLarge,), HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    ((Overloaded,), HTTPStatus.SERVICE_UNAVAILABLE),
    ((errors.LimitRequestLine,), HTTPStatus.REQUEST_URI_TOO_LONG),
    ((errors.LimitRequestHeaders,), HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
    ((errors.ExpectationFailed,), HTTPStatus.EXPECTATION_FAILED),
    ((errors.UnsupportedTransferCoding,), HTTPStatus.NOT_IMPLEMENTED),
    # gunicorn raises these for what an application answers, too; they are not the client's fault.
    ((errors.InvalidResponseHeader, errors.InvalidResponseHeaderName), HTTPStatus.INTERNAL_SERVER_ERROR),
    ((errors.ConfigurationProblem,), HTTPStatus.INTERNAL_SERVER_ERROR),
    ((errors.ParseException, BrokenChunk, Truncated, errors.NoMoreData), HTTPStatus.BAD_REQUEST),
)
"""The first matching row decides; an error without a row is a failure of webhookd."""


def status_of(error: Exception) -> HTTPStatus:
    """The HTTP status that answers this error of gunicorn's, or of the arrival of a request."""
    if isinstance(error, errors.InvalidHTTPVersion) and isinstance(error.version, tuple):
        return HTTPStatus.HTTP_VERSION_NOT_SUPPORTED
    found = (status for kinds, status in STATUS if isinstance(error, kinds))
    return next(found, HTTPStatus.INTERNAL_SERVER_ERROR)


def problem_of(status: int) -> Problem:
    """The problem with this status of a request that did not reach the application."""
    match status:
        case HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return Problem(status=status, code=TooLarge.code, title=title_of(TooLarge), detail=str(TooLarge()))
        case HTTPStatus.INTERNAL_SERVER_ERROR:
            instance = uuid4().urn
            return Problem(status=status, code=INTERNAL, title=TITLES[INTERNAL], detail=LOGGED, instance=instance)
        case HTTPStatus.SERVICE_UNAVAILABLE:
            return from_status(status, "", {"Retry-After": str(TRY_AGAIN_S)})
        case _:
            return from_status(status, HTTPStatus(status).phrase)


def answer_of(problem: Problem) -> bytes:
    """The whole HTTP response, after which the server closes the connection."""
    body = problem.body()
    headers = {
        "Content-Type": MEDIA_TYPE,
        "Content-Length": str(len(body)),
        "Connection": "close",
        **SECURITY_HEADERS,
        **problem.headers,
    }
    lines = [f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
