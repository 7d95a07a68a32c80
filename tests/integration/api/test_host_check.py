"""Without keys the API answers to names of this machine alone: against pages whose name resolves to 127.0.0.1.

Real: Flask, the routes, SQLite.
"""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.harness.error_responses import assert_shape
from tests.harness.subscriptions import document

PATHS = ["/1/Subscription", "/docs", "/docs/start.js", "/openapi.json", "/problems/misdirected", "/ready", "/nothing"]


@pytest.mark.parametrize("path", PATHS)
def test_another_name_is_refused_on_every_path(client: FlaskClient, path: str) -> None:
    answer = client.get(path, headers={"Host": "attacker.example:8080"})
    assert_shape(answer)
    assert (answer.status_code, answer.get_json()["code"]) == (421, "misdirected")
    assert client.get(path, headers={"Host": "127.0.0.1:8080"}).status_code != 421


def test_a_refused_request_changes_nothing(client: FlaskClient) -> None:
    answer = client.post("/1/Subscription", json=document(), headers={"Host": "attacker.example"})
    assert (answer.status_code, client.get("/1/Subscription").get_json()) == (421, [])


def test_a_request_without_a_host_is_answered(client: FlaskClient) -> None:
    assert client.get("/openapi.json", environ_overrides={"HTTP_HOST": None}).status_code == 200


def test_with_keys_every_name_is_answered(keyed_app: Flask) -> None:
    client = keyed_app.test_client()
    hosts = {"Host": "webhooks.example.com"}
    assert [client.get(path, headers=hosts).status_code for path in ("/docs", "/1/Subscription")] == [200, 401]
