"""Compares answers of the API with its OpenAPI document: statuses, media types, headers and bodies.

Stricter than the document: a field that the document does not have is a failure here, though clients must accept it.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http import HTTPStatus
from typing import Any, Final

import jsonschema_rs
from flask import Flask, Response, request
from werkzeug.routing import Rule

Spec = dict[str, Any]

OPENAPI: Final = "api-docs.openapi_json"
"""The endpoint of the document."""

VARIABLE: Final = re.compile(r"<(?:\w+:)?(\w+)>")


@contextmanager
def every_answer_documented(app: Flask) -> Iterator[None]:
    """Compare every answer of this application with its document; at the end fail for those that are not in it."""
    documented, faults = list[Documented](), list[str]()

    def compare(response: Response) -> Response:
        rule = request.url_rule
        if documented and rule is not None and request.method != "HEAD" and not response.direct_passthrough:
            found = documented[0].faults(rule, request.method, response)
            faults.extend(f"{request.method} {request.path}: {fault}" for fault in found)
        return response

    app.after_request(compare)
    # Not by a request: after the first one a test could no longer add hooks and routes.
    answer = app.view_functions[OPENAPI]()
    assert isinstance(answer, Response)
    documented.append(_documented(answer.data))
    yield
    told = "\n".join(sorted(set(faults)))
    assert not faults, f"answers that the OpenAPI document does not describe:\n{told}"


@cache
def _documented(document: bytes) -> "Documented":
    """The same for every application with this document: a schema takes longer to compile than to use."""
    return Documented(document)


class Documented:
    """The document of an application, with its schemas compiled."""

    def __init__(self, document: bytes) -> None:
        self.spec: Spec = json.loads(document)
        self._validator = cache(self._compiled)

    def faults(self, rule: Rule, method: str, answer: Response) -> Iterator[str]:
        """Yield what the document does not say of this answer; nothing for a route that is not in it."""
        path = VARIABLE.sub(r"{\1}", rule.rule)
        operation = self.spec["paths"].get(path, {}).get(method.lower())
        if operation is None:
            return
        status = str(answer.status_code) if str(answer.status_code) in operation["responses"] else "default"
        contents = self.resolved(operation["responses"][status]).get("content", {})
        if not contents:
            yield from (
                [f"{answer.status_code} has a body"]
                if answer.data and answer.status_code != HTTPStatus.NO_CONTENT
                else []
            )
        elif answer.mimetype not in contents:
            yield f"{answer.status_code} is {answer.mimetype}, not {', '.join(contents)}"
        else:
            validator = self._validator(path, method.lower(), status, answer.mimetype)
            for error in validator.iter_errors(json.loads(answer.data)):
                yield f"{answer.status_code}: {error.message} at {list(error.instance_path)}"

    def resolved(self, part: Spec) -> Spec:
        """A response of an operation, or the one that it refers to."""
        name = str(part.get("$ref", "")).rpartition("/")[2]
        found: Spec = self.spec["components"]["responses"][name] if name else part
        return found

    def _compiled(self, path: str, method: str, status: str, media_type: str) -> jsonschema_rs.Validator:
        response = self.resolved(self.spec["paths"][path][method]["responses"][status])
        return strict_validator(self.spec, response["content"][media_type]["schema"])


def strict_validator(spec: Spec, schema: Spec) -> jsonschema_rs.Validator:
    """A validator of one schema of the document, which refuses fields that the schema does not have."""
    schemas = {name: _closed(one) for name, one in spec["components"]["schemas"].items()}
    return jsonschema_rs.validator_for({**schema, "components": {"schemas": schemas}}, validate_formats=True)


def _closed(schema: Spec) -> Spec:
    return {"additionalProperties": False} | schema if "properties" in schema else schema
