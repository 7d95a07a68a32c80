"""Every answer has the headers that protect it, and every error code has the page that its answers name."""

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient

from api.description import page
from api.extensions.problem_types import PROBLEM_TYPES
from api.extensions.response_headers import SECURITY_HEADERS
from tests.harness.error_responses import assert_shape
from tests.harness.subscriptions import ID

POLICY = "Content-Security-Policy"


def test_every_route_sends_the_security_headers(client: FlaskClient) -> None:
    walked = set()
    for rule in client.application.url_map.iter_rules():
        path = (
            rule.rule.replace("<uuid:subscription_id>", ID).replace("<code>", "not_found").replace("<name>", "start.js")
        )
        for method in ("GET", "DELETE", "POST"):
            answer = client.open(path, method=method)
            sent = {name: answer.headers.get(name) for name in SECURITY_HEADERS}
            own = {POLICY: page.POLICY} if path.startswith("/docs") and answer.status_code == 200 else {}
            assert sent == {**SECURITY_HEADERS, **own}, f"{method} {path}"
            walked.add(answer.status_code)
    assert {200, 404, 405, 415} <= walked


def test_a_route_may_send_its_own_policy(app: Flask) -> None:
    own = {"Content-Security-Policy": "default-src 'self'"}
    app.add_url_rule("/page", "page", lambda: Response("<p>", headers=own))
    answer = app.test_client().get("/page")
    assert answer.headers.getlist("Content-Security-Policy") == ["default-src 'self'"]
    assert answer.headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize("code", PROBLEM_TYPES)
def test_each_code_has_its_page(client: FlaskClient, code: str) -> None:
    shown = client.get(f"/problems/{code}")
    assert (shown.status_code, shown.mimetype) == (200, "text/html")
    assert PROBLEM_TYPES[code].title.replace("`", "") in shown.text.replace("&#x27;", "'")
    assert "`" not in shown.text


@pytest.mark.parametrize("code", ["no_such", "<script>"])
def test_there_are_no_other_pages(client: FlaskClient, code: str) -> None:
    answer = client.get(f"/problems/{code}")
    assert assert_shape(answer)["status"] == 404
    assert "script" not in answer.text
