"""CORS: only listed origins get its headers, and a preflight request passes by everything that refuses requests."""

import pytest
from flask import Flask, Response, abort, request
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from api.extensions import cross_origin
from api.extensions.idempotency import REPLAYED

LISTED = "https://app.example.com"
PREFLIGHT = {"Origin": LISTED, "Access-Control-Request-Method": "PUT"}


def client(*origins: str) -> FlaskClient:
    """A client of an application that demands a key."""
    app = Flask("unit")
    cross_origin.register(app, origins)

    @app.before_request
    def demand_key() -> None:
        if "Authorization" not in request.headers:
            abort(401)

    app.add_url_rule("/1/Thing", view_func=lambda: Response("{}"), endpoint="thing", methods=["GET", "PUT"])
    return app.test_client()


def cors_headers(answer: TestResponse) -> set[str]:
    return {name for name, _ in answer.headers if name.startswith("Access-Control-")}


def test_a_preflight_request_needs_no_key() -> None:
    answer = client(LISTED).options("/1/Thing", headers=PREFLIGHT)
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (204, LISTED)
    assert "PUT" in answer.headers["Access-Control-Allow-Methods"]
    assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert answer.headers["Vary"] == "Origin"


def test_errors_and_answers_can_be_read_by_a_listed_origin() -> None:
    for fields, status in (({}, 401), ({"Authorization": "Bearer x"}, 200)):
        answer = client(LISTED).get("/1/Thing", headers={"Origin": LISTED, **fields})
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (status, LISTED)
        assert {"ETag", REPLAYED} <= set(answer.headers["Access-Control-Expose-Headers"].split(", "))


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "*", f"{LISTED}.evil.example", "http://app.example.com", LISTED.upper()]
)
def test_other_origins_get_nothing(origin: str) -> None:
    asked = client(LISTED).options("/1/Thing", headers={**PREFLIGHT, "Origin": origin})
    assert (asked.status_code, cors_headers(asked), asked.headers["Vary"]) == (401, set(), "Origin")
    read = client(LISTED).get("/1/Thing", headers={"Origin": origin, "Authorization": "Bearer x"})
    assert (read.status_code, cors_headers(read)) == (200, set())


def test_without_origins_there_is_no_cors() -> None:
    answer = client().options("/1/Thing", headers=PREFLIGHT)
    assert (answer.status_code, cors_headers(answer), "Vary" in answer.headers) == (401, set(), False)


def test_options_without_a_preflight_needs_a_key() -> None:
    assert client(LISTED).options("/1/Thing", headers={"Origin": LISTED}).status_code == 401
