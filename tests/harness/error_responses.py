"""The JSON shape that every error response of the API has."""

from typing import Any

from werkzeug.test import TestResponse

from api.extensions.problem_types import PROBLEM_TYPES


def assert_shape(answer: TestResponse) -> dict[str, Any]:
    """Check the shape of an error response; returns its body."""
    assert answer.mimetype == "application/problem+json"
    body: dict[str, Any] = answer.get_json()
    assert set(body) - {"instance"} == {"type", "title", "code", "status", "detail", "errors"}
    assert ("instance" in body) == (body["code"] == "internal")
    assert body["status"] == answer.status_code
    assert body["type"] == f"/problems/{body['code']}"
    assert body["code"] in PROBLEM_TYPES
    assert body["title"] == PROBLEM_TYPES[body["code"]].title
    assert body["detail"]
    assert all(len(set(error) & {"pointer", "parameter", "header"}) == 1 for error in body["errors"])
    assert all(set(error) - {"pointer", "parameter", "header"} == {"field", "reason"} for error in body["errors"])
    assert "Traceback" not in answer.text
    return body
