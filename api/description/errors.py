"""The errors of each operation in the document: those that its route names, and those of every route like it."""

from http import HTTPStatus
from typing import Any, Final

from api.extensions.authorization import Access
from api.extensions.problem import MEDIA_TYPE
from webhookd.flow.access.caller import Role

Spec = dict[str, Any]

ERROR: Final = {"schema": {"$ref": "#/components/schemas/Error"}}

_RETRY_AFTER: Final = {
    "Retry-After": {"description": "After how many seconds to try again.", "schema": {"type": "integer", "minimum": 0}}
}

_RATE_LIMIT: Final = {
    "RateLimit-Policy": {
        "description": "The limit: `q` requests in `w` seconds, for each key or for each address.",
        "schema": {"type": "string", "examples": ['"key";q=600;w=60']},
    },
    "RateLimit": {
        "description": "What is left: `r` requests now, and all of them after `t` seconds.",
        "schema": {"type": "string", "examples": ['"key";r=0;t=60']},
    },
}

HEADERS: Final[dict[int, Spec]] = {
    401: {"WWW-Authenticate": {"description": "How to authenticate (RFC 6750).", "schema": {"type": "string"}}},
    429: _RETRY_AFTER | _RATE_LIMIT,
    503: _RETRY_AFTER,
}
"""The headers of an error."""

MEANINGS: Final[dict[int, tuple[str, str]]] = {
    400: ("BadRequest", "The request cannot be understood: the body is not JSON, for example."),
    401: ("Unauthenticated", "There is no API key, or it is not valid."),
    403: ("Forbidden", "The key's role does not allow it."),
    404: ("NotFound", "There is nothing with this id, for this key."),
    413: ("TooLarge", "The body is too large."),
    415: ("UnsupportedMediaType", "The body was not sent as `application/json`."),
    422: ("InvalidInput", "A parameter or a field is wrong."),
    429: ("TooManyRequests", "Too many requests were made with this key, or from this address."),
    500: ("Internal", "Something went wrong in webhookd; the log has it."),
    503: ("Unavailable", "A service that webhookd needs cannot be reached."),
}
"""The errors that routes do not name themselves: the name of the response in the document, and what it says."""

OTHER: Final = "Error"


def components() -> Spec:
    """Return the responses that operations refer to."""
    known = {name: _answer(status, meaning) for status, (name, meaning) in MEANINGS.items()}
    return {**known, OTHER: _answer(0, "Any other error.")}


def complete(operation: Spec, access: Access, *, in_item: bool) -> None:
    """Add the errors that the operation can answer; `in_item`: its path has an id."""
    named = operation["responses"]
    for status, response in named.items():
        if status.isdigit() and int(status) >= HTTPStatus.BAD_REQUEST and "$ref" not in response:
            named[status] = _answer(int(status), response["description"]) | response
    for status in _expected(operation, access, in_item=in_item):
        if status not in named or "$ref" in named[status]:
            named[status] = _reference(MEANINGS[int(status)][0])
    named["default"] = _reference(OTHER)
    operation["responses"] = {status: named[status] for status in sorted(named)}


def _expected(operation: Spec, access: Access, *, in_item: bool) -> list[str]:
    found = {500}
    if not access.open:
        found |= {401, 429, 503} | (set() if access.roles == frozenset(Role) else {403})
    if in_item:
        found |= {404}
    if "requestBody" in operation:
        found |= {400, 413, 415, 422}
    if "parameters" in operation:
        found |= {422}
    return [str(status) for status in sorted(found)]


def _answer(status: int, description: str) -> Spec:
    headers = {"headers": HEADERS[status]} if status in HEADERS else {}
    return {"description": description, **headers, "content": {MEDIA_TYPE: ERROR}}


def _reference(name: str) -> Spec:
    return {"$ref": f"#/components/responses/{name}"}
