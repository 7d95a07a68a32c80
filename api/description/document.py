"""Completes the document that flask-smorest makes of routes and schemas, to what clients can be generated from."""

import copy
import json
import re
from collections.abc import Iterator
from importlib import resources
from typing import Any, Final

from flask import Flask

from api.description import errors, links, objects
from api.description.operations import IDS, path_of
from api.extensions.authorization import EVERYBODY, Access, access_to
from api.extensions.request_fields import listed
from webhookd.flow.access.caller import Role

Spec = dict[str, Any]

JSON: Final = "application/json"

INFO: Final = {
    "summary": "Delivers Kafka topics to HTTP endpoints.",
    "description": "Register a subscription, and webhookd posts the records of its topics to its URL. Every field that "
    "is not described here is refused. Every error has a `code` for programs. The requests of each key are limited, "
    "and so are those of each address without a valid key: answers say in `RateLimit` and `RateLimit-Policy` "
    "(draft-ietf-httpapi-ratelimit-headers-10) what is left, and 429 says in `Retry-After` when to try again.",
    "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"},
}

BEARER: Final = {
    "type": "http",
    "scheme": "bearer",
    "description": "An API key: `Authorization: Bearer whd_…`. Its role decides which operations it may call.",
}

EXAMPLES: Final = "examples.json"
"""The file with the examples, by operationId: `make reference` writes what this API answers to each request."""


def examples() -> Spec:
    """Read the examples of all operations."""
    found: Spec = json.loads(resources.files("api.description").joinpath(EXAMPLES).read_text(encoding="utf-8"))
    return found


def completed(spec: Spec, app: Flask) -> Spec:
    """Return the document of the routes of this application."""
    found = copy.deepcopy(spec)
    found["info"] |= INFO
    found["servers"] = [{"url": "/", "description": "This process."}]
    found["security"] = [{"bearer": []}]
    for path, method, operation in _operations(found):
        _complete(operation, path, access=_access(app, path, method), method=method)
    objects.separate(found)
    links.connect(found["paths"])
    _exemplify(found, examples())
    found["components"] = {
        "schemas": found["components"]["schemas"],
        "responses": errors.components(),
        "securitySchemes": {"bearer": BEARER},
    }
    return found


def _operations(spec: Spec) -> Iterator[tuple[str, str, Spec]]:
    for path, item in spec["paths"].items():
        for method, operation in item.items():
            if isinstance(operation, dict):
                yield path, method.upper(), operation


def _access(app: Flask, path: str, method: str) -> Access:
    for rule in app.url_map.iter_rules():
        if path_of(rule.rule) == path and method in (rule.methods or ()):
            return access_to(app, rule.endpoint, method) or EVERYBODY
    raise LookupError(f"{method} {path} is no route")


def _complete(operation: Spec, path: str, *, access: Access, method: str) -> None:
    operation["operationId"] = IDS.get(f"{method} {path}", f"{method.lower()}{re.sub('[^A-Za-z]', '', path)}")
    operation["security"] = [{}, {"bearer": []}] if access.open else [{"bearer": []}]
    needs = "Needs no key."
    if not access.open:
        roles = [role.value for role in Role if role in access.roles]
        operation["x-required-role"] = roles
        needs = f"Needs a key with the role {listed([f'`{role}`' for role in roles], 'or')}."
    operation["description"] = "\n\n".join(filter(None, [operation.get("description"), needs]))
    for parameter in operation.get("parameters", []):
        parameter["schema"] = _of_query(parameter["schema"])
    errors.complete(operation, access, in_item="{" in path)


def _of_query(schema: Spec) -> Spec:
    """Return the schema of a query parameter: null cannot be written in a query."""
    found = {key: value for key, value in schema.items() if key != "default" or value is not None}
    if isinstance(found.get("type"), list):
        [found["type"]] = [kind for kind in found["type"] if kind != "null"]
    if "enum" in found:
        found["enum"] = [value for value in found["enum"] if value is not None]
    return found


def _exemplify(spec: Spec, known: Spec) -> None:
    for _path, _method, operation in _operations(spec):
        example = known.get(operation["operationId"])
        if example is None:
            continue
        if "request" in example:
            [body] = operation["requestBody"]["content"].values()
            body["examples"] = {"example": {"value": example["request"]}}
        answer = operation["responses"][str(example["status"])]
        if "response" in example:
            answer["content"][JSON]["examples"] = {"example": {"value": example["response"]}}
