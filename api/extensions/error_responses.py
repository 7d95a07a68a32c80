"""Error responses: one JSON format for every error, and the HTTP status of each exception.

    {"code": "invalid_input", "status": 422, "message": "...",
     "errors": [{"field": "source[0].topic", "reason": "..."}]}

`code` is the same as in the exception and the log line. `errors` is empty when no field is the cause. An unexpected
exception is logged with its traceback; the client gets 500 without details.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from typing import Any, Final

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from webhookd import logs
from webhookd.errors import (
    ClusterMismatch,
    Conflict,
    Forbidden,
    InvalidInput,
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

ERRORS_SHOWN: Final = 100
"""The most errors in one response; a large body can contain an error in every few bytes."""
TEXT_SHOWN: Final = 500
"""The most characters of a field's path or a reason; the name of an unknown field can be as long as the body."""
TRY_AGAIN_S: Final = 1

KNOWN: Final[Mapping[int, tuple[str, str]]] = {
    400: ("bad_request", "The request cannot be understood."),
    404: ("not_found", "There is nothing at this path."),
    405: ("method_not_allowed", "This path supports only {allowed}."),
    408: ("too_slow", "The request did not arrive in time."),
}
"""Code and message of the errors that Flask raises."""

_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class FieldError:
    """A field and what is wrong with it; the field is empty when the error is about the whole document."""

    field: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorResponse:
    """An error as the client gets it."""

    status: int
    code: str
    message: str
    errors: Sequence[FieldError] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self) -> Response:
        """The Flask response, bounded in size."""
        answer = jsonify(
            {
                "code": self.code,
                "status": self.status,
                "message": self.message[:TEXT_SHOWN],
                "errors": [_short(error) for error in self.errors[:ERRORS_SHOWN]],
            }
        )
        answer.status_code = self.status
        answer.headers.update(self.headers)
        return answer


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
    (Forbidden, HTTPStatus.FORBIDDEN),
    (NotFound, HTTPStatus.NOT_FOUND),
    (Conflict, HTTPStatus.CONFLICT),
    (UnusableSubscription, HTTPStatus.CONFLICT),
    (PreconditionFailed, HTTPStatus.PRECONDITION_FAILED),
    (PreconditionRequired, HTTPStatus.PRECONDITION_REQUIRED),
    (TooManyRequests, HTTPStatus.TOO_MANY_REQUESTS),
    (Unavailable, HTTPStatus.SERVICE_UNAVAILABLE),
)
"""The first matching row decides."""


def register(app: Flask) -> None:
    """Make this application send every error in the format above."""
    app.register_error_handler(WebhookdError, lambda error: from_webhookd_error(error).response())
    app.register_error_handler(HTTPException, lambda error: from_http_error(error).response())
    app.register_error_handler(Exception, lambda error: from_unexpected(error).response())


def from_webhookd_error(error: WebhookdError) -> ErrorResponse:
    """The response to an exception of webhookd's own."""
    status = _status_of(error)
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        _log.warning("request_unavailable", code=error.code, error=str(error), path=request.path)
        # The client does not get the text of an outside system, except the ids of the two clusters.
        message = str(error) if isinstance(error, ClusterMismatch) else str(type(error).__doc__)
        headers = {"Retry-After": str(TRY_AGAIN_S)}
    else:
        message, headers = str(error), {}
    return ErrorResponse(status=status, code=error.code, message=message, errors=_field_errors(error), headers=headers)


def from_http_error(error: HTTPException) -> ErrorResponse:
    """The response to an error of Flask: unknown path, unsupported method, body too large."""
    status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    headers = {}
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        headers["Allow"] = ", ".join(sorted(error.valid_methods))
    code, message = KNOWN.get(status, ("error", error.name))
    shown = message.format(allowed=headers.get("Allow", "other methods"))
    return ErrorResponse(status=status, code=code, message=shown, headers=headers)


def from_unexpected(error: Exception) -> ErrorResponse:
    """The response to an unexpected exception; its cause is only in the log."""
    _log.error("request_failed", code="internal", method=request.method, path=request.path, exc_info=error)
    return ErrorResponse(
        status=HTTPStatus.INTERNAL_SERVER_ERROR, code="internal", message="Something went wrong; it has been logged."
    )


def _status_of(error: WebhookdError) -> HTTPStatus:
    return next((status for kind, status in STATUS if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)


def _field_errors(error: WebhookdError) -> Sequence[FieldError]:
    match error:
        case InvalidDocument():
            return error.errors
        case InvalidInput() | TopicNotAllowed():
            return [FieldError(error.field, str(error))]
        case _:
            return ()


def _short(error: FieldError) -> dict[str, Any]:
    # A field's path may contain half of a surrogate pair; strict JSON parsers refuse it even when escaped.
    return {name: text[:TEXT_SHOWN].encode("utf-8", "replace").decode() for name, text in asdict(error).items()}
