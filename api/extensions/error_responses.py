"""Error responses: which problem document and which HTTP status each exception becomes.

`problem` describes the document. Its `code` is the same as in the exception and the log line. An unexpected exception
is logged with its traceback; the client gets 500 without details, and the id under which the log has it.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from math import ceil
from typing import Final
from uuid import uuid4

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from api.extensions.problem import MEDIA_TYPE, FieldError, Place, Problem
from webhookd import logs
from webhookd.errors import (
    AlreadyExists,
    ClusterMismatch,
    Conflict,
    Forbidden,
    InvalidInput,
    Misdirected,
    NotFound,
    PreconditionFailed,
    PreconditionRequired,
    TooManyRequests,
    TopicNotAllowed,
    Unauthenticated,
    Unavailable,
    UnusableSubscription,
    WebhookdError,
)

TRY_AGAIN_S: Final = 1
IF_MATCH: Final = "If-Match"
IDEMPOTENCY_KEY: Final = "Idempotency-Key"
INTERNAL: Final = "internal"
LOGGED: Final = "Something went wrong; it has been logged."

KNOWN: Final[Mapping[int, tuple[str, str]]] = {
    400: ("bad_request", "The request cannot be understood."),
    404: ("not_found", "There is nothing at this path."),
    405: ("method_not_allowed", "This path supports only {allowed}."),
    408: ("too_slow", "The request did not arrive in time."),
    414: ("uri_too_long", "The request line is too long."),
    417: ("expectation_failed", "The header Expect asks for something that this server does not do."),
    431: ("headers_too_large", "The request has too many headers, or too large ones."),
    501: ("not_implemented", "The request uses a transfer coding that this server does not have."),
    503: ("overloaded", "Too many requests arrive at the same time."),
    505: ("version_not_supported", "This server supports HTTP/1.1 and HTTP/1.0."),
}
"""Code and detail of the errors that Flask and the servers raise."""

TITLES: Final[Mapping[str, str]] = {
    "bad_request": "The request cannot be understood",
    "method_not_allowed": "The path does not support this method",
    "too_slow": "The request did not arrive in time",
    "uri_too_long": "The request line is too long",
    "expectation_failed": "The expectation cannot be met",
    "headers_too_large": "The headers are too large",
    "not_implemented": "The transfer coding is not supported",
    "version_not_supported": "The version of HTTP is not supported",
    "overloaded": "Too many requests arrive",
    INTERNAL: "webhookd failed",
    "error": "The request failed",
}
"""The title of each code that belongs to no exception of webhookd."""

_log = logs.get(__name__)


class InvalidDocument(InvalidInput):
    """The document cannot be accepted."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__(field=errors[0].field if errors else "")
        self.errors = errors


class NotJson(WebhookdError):
    """The body is not JSON in UTF-8."""

    code = "not_json"


class NotJsonType(WebhookdError):
    """The body must be sent as application/json."""

    code = "unsupported_media_type"


class TooLarge(WebhookdError):
    """The body is too large."""

    code = "too_large"


STATUS: Final[tuple[tuple[type[WebhookdError], HTTPStatus], ...]] = (
    (NotJson, HTTPStatus.BAD_REQUEST),
    (TooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (NotJsonType, HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    (InvalidInput, HTTPStatus.UNPROCESSABLE_ENTITY),
    (Unauthenticated, HTTPStatus.UNAUTHORIZED),
    (Misdirected, HTTPStatus.MISDIRECTED_REQUEST),
    (Forbidden, HTTPStatus.FORBIDDEN),
    (NotFound, HTTPStatus.NOT_FOUND),
    (Conflict, HTTPStatus.CONFLICT),
    (AlreadyExists, HTTPStatus.CONFLICT),
    (UnusableSubscription, HTTPStatus.CONFLICT),
    (PreconditionFailed, HTTPStatus.PRECONDITION_FAILED),
    (PreconditionRequired, HTTPStatus.PRECONDITION_REQUIRED),
    (TooManyRequests, HTTPStatus.TOO_MANY_REQUESTS),
    (Unavailable, HTTPStatus.SERVICE_UNAVAILABLE),
)
"""The first matching row decides."""


def register(app: Flask) -> None:
    """Make this application answer every error with a problem document."""
    app.register_error_handler(WebhookdError, lambda error: response(from_webhookd_error(error)))
    app.register_error_handler(HTTPException, lambda error: response(from_http_error(error)))
    app.register_error_handler(Exception, lambda error: response(from_unexpected(error)))


def response(problem: Problem) -> Response:
    """The Flask response with this problem."""
    return Response(problem.body(), problem.status, problem.headers, content_type=MEDIA_TYPE)


def from_webhookd_error(error: WebhookdError) -> Problem:
    """The problem that an exception of webhookd's own is."""
    status = _status_of(error)
    detail = str(error)
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        _log.warning("request_unavailable", code=error.code, error=detail, path=request.path)
        # The client does not get the text of an outside system, except the ids of the two clusters.
        detail = detail if isinstance(error, ClusterMismatch) else str(type(error).__doc__)
    return Problem(
        status=status,
        code=error.code,
        title=title_of(type(error)),
        detail=detail,
        errors=_field_errors(error),
        headers=_headers(error),
    )


def from_http_error(error: HTTPException) -> Problem:
    """The problem that an error of Flask is: unknown path, unsupported method, a body that was cut off."""
    status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    headers = {}
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return from_status(status, error.name, headers)


def from_status(status: int, otherwise: str, headers: Mapping[str, str] | None = None) -> Problem:
    """The problem of an HTTP status that no exception of webhookd stands for; `otherwise` is for an unknown status."""
    headers = headers or {}
    code, detail = KNOWN.get(status, ("error", otherwise))
    detail = detail.format(allowed=headers.get("Allow", "other methods"))
    title = TITLES.get(code) or title_of(NotFound)
    return Problem(status=status, code=code, title=title, detail=detail, headers=headers)


def from_unexpected(error: Exception) -> Problem:
    """The problem that an unexpected exception is; its cause is only in the log."""
    instance = uuid4().urn
    _log.error(
        "request_failed", code=INTERNAL, method=request.method, path=request.path, instance=instance, exc_info=error
    )
    return Problem(
        status=HTTPStatus.INTERNAL_SERVER_ERROR,
        code=INTERNAL,
        title=TITLES[INTERNAL],
        detail=LOGGED,
        instance=instance,
    )


def title_of(kind: type[WebhookdError]) -> str:
    """The title of an error's code: the docstring of the class that sets the code, as a title without a full stop."""
    owner = next(base for base in kind.__mro__ if "code" in vars(base))
    return (owner.__doc__ or "").partition("\n")[0].removesuffix(".")


def _status_of(error: WebhookdError) -> HTTPStatus:
    return next((status for kind, status in STATUS if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)


def _headers(error: WebhookdError) -> Mapping[str, str]:
    match error:
        case TooManyRequests():
            return {"Retry-After": str(max(1, ceil(error.retry_after_s)))}
        case Unavailable():
            return {"Retry-After": str(TRY_AGAIN_S)}
        case _:
            return {}


def _field_errors(error: WebhookdError) -> Sequence[FieldError]:
    match error:
        case InvalidDocument():
            return error.errors
        case InvalidInput(field=name) if name == IDEMPOTENCY_KEY:
            return [FieldError(name, str(error), Place.HEADER)]
        case InvalidInput() | AlreadyExists():
            return [FieldError(error.field, str(error))]
        case TopicNotAllowed() if error.field:
            return [FieldError(error.field, str(error))]
        case PreconditionFailed() | PreconditionRequired():
            return [FieldError(IF_MATCH, str(error), Place.HEADER)]
        case _:
            return ()
