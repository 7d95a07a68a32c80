"""docs/reference/api.md: every path, and every object of the API, from the OpenAPI document of the application."""

import json
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

from api.application import build
from api.description.objects import REQUEST, SCHEMAS
from documentation.reference.markdown import code, page, table
from webhookd.settings import Settings

MERGE_PATCH = "application/merge-patch+json"
PATCH = "Patch"
"""The end of the names of the objects that describe merge patches. The page does not repeat the fields in them."""

Document = Mapping[str, Any]

EVERYWHERE = frozenset({"400", "401", "429", "500", "default"})
"""Statuses that the introduction explains for all paths; 404, 413 and 415 are listed where they mean something else."""
INVALID = "422"

INTRODUCTION = """\
The management API speaks JSON over HTTP. An API process serves the same description as an OpenAPI 3.1 document at
`/openapi.json`, for programs that generate clients, and as a page at `/docs`, which can send requests with a key. In
the document an object that is sent and received has two forms, `Subscription` and `SubscriptionRequest`; here they are
one.

A request body is one JSON document in UTF-8 with `Content-Type: application/json`. A field or a query parameter that is
not listed here is refused, on every path.

Every error response has the body [Error](#error-object), sent as `application/problem+json` (RFC 9457); its codes are
listed in [Codes](codes.md#error-codes-of-the-api). Besides the statuses listed with a path, every path may return 400,
404, 405, 408, 413, 414, 415, 417, 429, 431, 500, 501, 503 and 505 with the meaning that those codes have. The answer
to each request that the rate limit counts has `RateLimit` headers: see
[Limit the requests](../how-to/audit.md#limit-the-requests).

Every path needs an [API key](../how-to/give-access.md), except `/ready`, `/health`, `/openapi.json`, `/docs` and
`/problems/<code>`. It is sent in the header `Authorization: Bearer whd_…`. Without a valid one the response is 401, and
403 when its role does not allow the operation. `viewer` may GET what is below `/1/Subscription`, `client` also change
it, and `admin` everything."""


def document() -> Document:
    """The OpenAPI document; nothing is connected to."""
    response = build(Settings.model_construct(redis_url="memory://")).test_client().get("/openapi.json")
    found: Document = response.get_json()
    return found


def api_page() -> str:
    """The whole page."""
    spec = merged(document())
    return page("API", INTRODUCTION, *_operations(spec), "## Objects", *_objects(spec))


def merged(spec: Document) -> Document:
    """Return the document with one object where it has a form for requests and one for responses: with the bounds."""
    schemas = spec["components"]["schemas"]
    text = json.dumps(spec)
    for name in schemas:
        text = text.replace(json.dumps(f"{SCHEMAS}{name}{REQUEST}"), json.dumps(f"{SCHEMAS}{name}"))
    found: Document = json.loads(text)
    forms = found["components"]["schemas"]
    for name in schemas:
        if name + REQUEST in forms:
            forms[name] = forms.pop(name + REQUEST)
    return found


def _operations(spec: Document) -> Iterator[str]:
    for tag in spec["tags"]:
        yield f"## {tag['name'].replace('_', ' ').capitalize()}"
        yield tag["description"]
        for path, item in spec["paths"].items():
            methods = {method: value for method, value in item.items() if tag["name"] in _tags(value)}
            for method, operation in methods.items():
                yield from _operation(f"{method.upper()} {code(path)}", operation, item.get("parameters", []))


def _tags(value: Any) -> Iterable[str]:  # noqa: ANN401  # an operation, or the parameters that all of a path share
    return value["tags"] if isinstance(value, Mapping) else ()


def _operation(name: str, operation: Document, shared: Iterable[Document]) -> Iterator[str]:
    yield f"### {name}"
    yield operation["summary"]
    if "description" in operation:
        yield operation["description"]
    parameters = [*shared, *operation.get("parameters", [])]
    if parameters:
        yield table(["Parameter", "In", "Type", "What it is"], map(_parameter, parameters))
    if "requestBody" in operation:
        yield f"Request body: {_body(operation['requestBody']['content'])}."
    responses = sorted((status, item) for status, item in operation["responses"].items() if status not in EVERYWHERE)
    named = [(status, item) for status, item in responses if "$ref" not in item or status == INVALID]
    yield table(["Status", "Body", "Meaning"], [_response(status, item) for status, item in named])


def _body(content: Document) -> str:
    [(media_type, body)] = content.items()
    if media_type != MERGE_PATCH:
        return _kind(body["schema"])
    [patch] = _names([body["schema"]])
    return f"a JSON merge patch (`{media_type}`) of {_link(patch.removesuffix(PATCH))}"


def _parameter(parameter: Document) -> list[str]:
    kind = f"{_kind(parameter['schema'])}{_bounds(parameter['schema'], required=parameter.get('required', False))}"
    return [code(parameter["name"]), parameter["in"], kind, parameter["description"]]


def _response(status: str, response: Document) -> list[str]:
    success = status.startswith(("2", "3"))
    content = response.get("content", {}).get("application/json", {}).get("schema")
    body = _kind(content) if content else "none" if success else _link("Error")
    said = response.get("description") or HTTPStatus(int(status)).phrase
    meaning = "A parameter or a field is wrong." if "$ref" in response else said
    sent = response.get("headers", {}) if success else {}
    headers = [f"Header `{name}`: {header['description']}" for name, header in sent.items()]
    return [status, body, " ".join([f"{meaning.rstrip('.')}.", *headers])]


def _objects(spec: Document) -> Iterator[str]:
    schemas = spec["components"]["schemas"]
    for name in sorted(_used(spec)):
        yield f"### {name} object"
        yield schemas[name]["description"]
        owner = schemas[name]
        rows = [_field(field, value, owner, schemas) for field, value in owner["properties"].items()]
        yield table(["Field", "Type", "What it is"], rows)


def _field(name: str, field: Document, owner: Document, schemas: Document) -> list[str]:
    kind = f"{_kind(field)}{_bounds(field, required=name in owner.get('required', ()))}"
    return [code(name), kind, described(field, schemas)]


def described(field: Document, schemas: Document) -> str:
    """What a field says of itself, or the object that it holds."""
    return str(field.get("description") or "".join(schemas[name]["description"] for name in _names([field])))


def _kind(schema: Document) -> str:
    """The type of a value, with a link to the object that it is."""
    if names := [] if "array" in schema.get("type", ()) else list(_names([schema])):
        return _link(names[0])
    match schema:
        case {"type": [*kinds]}:
            return _kind({**schema, "type": next(kind for kind in kinds if kind != "null")})
        case {"type": "array", "items": items}:
            return f"list of {_kind(items)}"
        case {"type": "object", "additionalProperties": values}:
            return f"object: {_kind(values)} by name"
        case {"enum": values}:
            return " or ".join(code(value) for value in values if value)
        case {"type": kind, "format": detail}:
            return f"{kind} ({detail})"
        case {"type": kind}:
            return str(kind)
        case _:
            return "any"


def _bounds(schema: Document, *, required: bool) -> str:
    """What a value has to be like, and what it is when it is left out."""
    default = schema.get("default")
    notes = [
        "required" if required else "",
        _between(schema, "minimum", "maximum", ""),
        _between(schema, "minLength", "maxLength", " characters"),
        _between(schema, "minItems", "maxItems", " entries"),
        "may be null" if _null_allowed(schema) else "",
        "never sent in a request" if schema.get("readOnly") else "",
        f"default {code(str(default))}" if isinstance(default, (int, str)) and default != "" else "",
    ]
    return "".join(f"; {note}" for note in notes if note)


def _between(schema: Document, least: str, most: str, unit: str) -> str:
    if least in schema and most in schema:
        return f"{schema[least]} to {schema[most]}{unit}"
    return f"at most {schema[most]}{unit}" if most in schema else ""


def _null_allowed(schema: Document) -> bool:
    return "null" in schema.get("type", ()) or {"type": "null"} in schema.get("anyOf", ())


def _link(name: str) -> str:
    return f"[{name}](#{name.lower()}-object)"


def _names(values: Iterable[Any]) -> Iterator[str]:
    """The objects that these parts of the document refer to."""
    for value in values:
        if isinstance(value, Mapping):
            reference = str(value.get("$ref", ""))
            if reference.startswith("#/components/schemas/"):
                yield reference.rpartition("/")[2]
            yield from _names(value.values())
        elif isinstance(value, list):
            yield from _names(value)


def _used(spec: Document) -> set[str]:
    """The objects that a path refers to, directly or through others."""
    schemas = spec["components"]["schemas"]
    found, waiting = set[str](), {"Error", *_names([spec["paths"]])}
    while waiting:
        found |= waiting
        waiting = set(_names(schemas[name] for name in waiting)) - found
    return {name for name in found if not name.endswith(PATCH)}
