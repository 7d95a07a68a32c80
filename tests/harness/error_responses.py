"""The JSON shape that every error response of the API has."""

from typing import Any

from werkzeug.test import TestResponse


def assert_shape(answer: TestResponse) -> dict[str, Any]:
    """Check the shape of an error response; returns its body."""
    assert answer.mimetype == "application/json"
    body: dict[str, Any] = answer.get_json()
    assert set(body) == {"code", "status", "message", "errors"}
    assert body["status"] == answer.status_code
    assert body["message"]
    assert all(set(error) == {"field", "reason"} for error in body["errors"])
    assert "Traceback" not in answer.text
    return body
