"""Parses request bodies: strict JSON, and only strings that the database can store.

Python's json module accepts NaN, repeated names, lone surrogates and text in UTF-16. Other JSON parsers do not, and
Postgres cannot store NUL characters. All of these are refused here.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final, NoReturn

from flask import Request, Response, current_app, request
from marshmallow import Schema, ValidationError
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import BadRequest, ClientDisconnected, RequestTimeout

from api.extensions.document_values import Parts, path_of, strings
from api.extensions.error_responses import InvalidDocument, NotJson, NotJsonType, TooLarge
from api.extensions.problem import FieldError, Place, joined_pointer
from api.extensions.request_fields import kind_of, required_fields, shown
from api.ports import services_of
from webhookd import logs

CHUNK_BYTES: Final = 64 * 1024
DISCARD_BYTES: Final = 16 * 1024 * 1024
"""The rest of a body is read up to this size, so that the client gets the response. A larger one is not read to the
end, and the connection is closed."""
UNSTORABLE: Final = "has a NUL character or half of a surrogate pair"
TOO_LARGE: Final = "The body is larger than {} bytes, the limit that WEBHOOKD_API_BODY_BYTES sets."
EXPECTED: Final = {
    "Expecting value": "a value",
    "Expecting property name enclosed in double quotes": "a field's name in double quotes",
    "Expecting ':' delimiter": "a colon",
    "Expecting ',' delimiter": "a comma",
}
"""What the messages of Python's parser say."""
AS_JSON: Final = "send it with the header Content-Type: application/json"

PLACES: Final = {"query": Place.QUERY, "headers": Place.HEADER}
"""Where webargs found the arguments; everything else is the body."""

_log = logs.get(__name__)


class StrictParser(FlaskParser):
    """Parses the arguments of every route."""

    def load_json(self, req: Request, schema: Schema) -> Any:  # noqa: ANN401  # webargs' own signature
        """The body as JSON; raises NotJsonType, TooLarge, NotJson, or InvalidDocument for unstorable strings."""
        _must_be_json(req)
        document = parse_json(_body(req, services_of(current_app).settings.api_body_bytes))
        bad = [_field_error(parts, UNSTORABLE) for parts, text in strings(document) if not _storable(text)]
        if bad:
            raise InvalidDocument(bad)
        if not isinstance(document, dict):
            # No field is the subject of this reason, so it has its own.
            wanted = required_fields(type(schema))
            raise InvalidDocument([FieldError("", f"the body is {kind_of(document)}: write {wanted}")])
        return document

    def handle_error(
        self,
        error: ValidationError,
        req: Request,  # noqa: ARG002  # webargs' own signature
        schema: Schema,  # noqa: ARG002
        *,
        error_status_code: int | None,  # noqa: ARG002
        error_headers: Mapping[str, str] | None,  # noqa: ARG002
    ) -> NoReturn:
        """Raise InvalidDocument with every error and the path of its field."""
        messages: Any = error.messages
        # webargs groups the messages by the place that they came from: json, query.
        found = [item for origin in messages for item in flatten(messages[origin], PLACES.get(origin, Place.BODY))]
        raise InvalidDocument(found) from error


def parse_json(body: bytes) -> Any:  # noqa: ANN401  # any JSON there is
    """The document in a body; raises NotJson with the position and what was expected there."""
    if not body.strip():
        raise NotJson("The body is empty; send a JSON object.")
    try:
        text = body.decode("utf-8")
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_unique_names)
    except UnicodeDecodeError as error:
        raise NotJson(f"The body is not UTF-8 at byte {error.start}.") from error
    except RecursionError as error:
        raise NotJson("The body is nested too deeply.") from error
    except json.JSONDecodeError as error:
        raise NotJson(
            f"The body is not JSON at line {error.lineno}, column {error.colno}: {_explained(error)}."
        ) from error
    except ValueError as error:
        raise NotJson(f"The body is not JSON: {error}.") from error


def _explained(error: json.JSONDecodeError) -> str:
    """What the parser expected at its position, and the usual mistake that is found there."""
    before, rest = error.doc[: error.pos].rstrip(), error.doc[error.pos :]
    if not rest.strip():
        return "it ends before it is complete"
    if rest[0] == "'":
        return "strings are written in double quotes"
    if (before.endswith(",") and rest[0] in "}]") or (rest[0] == "," and rest[1:].lstrip()[:1] in {"}", "]"}):
        return "there must be no comma after the last entry"
    if error.doc.startswith("\ufeff"):
        return "leave out the byte order mark"
    if error.msg.startswith("Expecting "):
        return f"expected {EXPECTED.get(error.msg, 'something else')}, found {shown(rest[:1])}"
    return f"{error.msg[:1].lower()}{error.msg[1:].removesuffix(' at').removesuffix(' starting at')}"


def flatten(messages: Any, place: Place = Place.BODY, parts: Parts = ()) -> Iterator[FieldError]:  # noqa: ANN401  # marshmallow nests lists and dicts
    """Marshmallow's nested messages as a flat list: `source[0].topic` and its reason."""
    if isinstance(messages, dict):
        for key, inner in messages.items():
            yield from flatten(inner, place, parts if key == "_schema" else (*parts, key))
    elif isinstance(messages, list):
        for inner in messages:
            yield from flatten(inner, place, parts)
    else:
        yield _field_error(parts, str(messages), place)


def _field_error(parts: Parts, reason: str, place: Place = Place.BODY) -> FieldError:
    return FieldError(path_of(parts), reason, place, joined_pointer(parts) if place is Place.BODY else None)


def discard_body(response: Response) -> Response:
    """Read the rest of the body before responding: a client that still sends would not get the response."""
    try:
        left = DISCARD_BYTES
        while left > 0 and (chunk := request.stream.read(CHUNK_BYTES)):
            left -= len(chunk)
    except (ClientDisconnected, OSError) as error:
        _log.debug("client_left", path=request.path, error=str(error))
    return response


def _body(req: Request, limit_bytes: int) -> bytes:
    """Return the whole body; with or without a Content-Length, it reads little more than the limit.

    Raises TooLarge, and BadRequest or RequestTimeout for a body that does not arrive.
    """
    if (req.content_length or 0) > limit_bytes:
        raise TooLarge(TOO_LARGE.format(limit_bytes))
    chunks, size = [], 0
    while chunk := _chunk(req):
        size += len(chunk)
        if size > limit_bytes:
            raise TooLarge(TOO_LARGE.format(limit_bytes))
        chunks.append(chunk)
    return b"".join(chunks)


def _chunk(req: Request) -> bytes:
    try:
        return req.stream.read(CHUNK_BYTES)
    except TimeoutError as error:
        raise RequestTimeout from error
    except OSError as error:  # both servers: the client has left, or the framing of the body is broken
        raise BadRequest from error


def _must_be_json(req: Request) -> None:
    if "Content-Encoding" in req.headers:
        raise NotJsonType(f"The body was sent with Content-Encoding: {shown(req.content_encoding)}; send it without.")
    if req.mimetype != "application/json":
        sent = f"as {shown(req.mimetype)}" if req.mimetype else "without a Content-Type"
        raise NotJsonType(f"The body was sent {sent}; {AS_JSON}.")
    charset = req.mimetype_params.get("charset", "utf-8").lower()
    if charset not in {"utf-8", "utf8"}:
        raise NotJsonType(f"The body was sent with the charset {shown(charset)}; send it in UTF-8.")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        [(repeated, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"an object has the field {shown(repeated)} twice")
    return document


def _storable(text: str) -> bool:
    return "\x00" not in text and not any("\ud800" <= character <= "\udfff" for character in text)
