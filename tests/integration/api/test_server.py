"""The API behind its two servers: gunicorn in a process of its own, and a thread for the embedded default."""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest
from flask import Flask

from api.embedded_server import serve_embedded
from tests.harness.api_process import running_api
from tests.harness.subscriptions import document

WAIT_S = 20.0
PATH = "/1/Subscription"
JSON = {"Content-Type": "application/json"}
WITHOUT_SECRETS = {"url": "https://example.com/hook", "signing": {"kind": "none"}}


@pytest.fixture(scope="module")
def gunicorn(migrated_url: str) -> Iterator[int]:
    """The port of a running `webhookd api`; it must stop by itself when told to."""
    with running_api(migrated_url) as server:
        yield server.port


@pytest.fixture
def embedded(app: Flask) -> Iterator[int]:
    """The port of the API in a thread of this process."""
    server = serve_embedded(app)
    yield server.port
    server.stop()


@pytest.fixture(params=["gunicorn", "embedded"])
def connection(request: pytest.FixtureRequest) -> Iterator[http.client.HTTPConnection]:
    """A kept-alive connection to each server."""
    port: int = request.getfixturevalue(request.param)
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)) as opened:
        yield opened


def ask(
    connection: http.client.HTTPConnection, method: str, path: str, **sent: object
) -> tuple[int, dict[str, object]]:
    connection.request(method, path, **sent)  # type: ignore[arg-type]  # body and headers, as http.client takes them
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def test_a_server_answers_and_keeps_the_connection(connection: http.client.HTTPConnection) -> None:
    assert ask(connection, "GET", "/health")[0] == 200
    kept = connection.sock
    assert ask(connection, "GET", "/nothing")[0] == 404
    assert ask(connection, "POST", PATH, body=b"{", headers=JSON)[0] == 400
    assert connection.sock is kept


def test_a_body_without_length_is_read_whole(connection: http.client.HTTPConnection) -> None:
    body = json.dumps(document("name", 7)).encode()
    status, answer = ask(connection, "POST", PATH, body=iter([body[:10], body[10:]]), headers=JSON)
    assert (status, answer["errors"]) == (
        422,
        [{"field": "name", "pointer": "/name", "reason": 'is a number: write "7"'}],
    )


@pytest.mark.parametrize("size", [20_001, 5_000_000])
def test_a_body_too_large_gets_its_answer(connection: http.client.HTTPConnection, size: int) -> None:
    status, answer = ask(connection, "POST", PATH, body=b" " * size, headers=JSON)
    assert (status, answer["code"]) == (413, "too_large")


@pytest.mark.parametrize("chunks", [3, 100])
def test_a_body_too_large_without_length_gets_its_answer(connection: http.client.HTTPConnection, chunks: int) -> None:
    status, answer = ask(connection, "POST", PATH, body=iter([b" " * 10_000] * chunks), headers=JSON)
    assert (status, answer["code"]) == (413, "too_large")


def test_a_body_nobody_reads_does_not_spoil_the_next_request(connection: http.client.HTTPConnection) -> None:
    assert ask(connection, "POST", "/nothing", body=b" " * 300_000, headers=JSON)[0] == 404
    assert ask(connection, "POST", PATH, body=b"<" * 19_000, headers={"Content-Type": "text/xml"})[0] == 415
    assert ask(connection, "GET", "/health")[0] == 200


def test_gunicorn_says_which_system_is_missing(gunicorn: int) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", gunicorn, timeout=WAIT_S)) as connection:
        status, answer = ask(connection, "GET", "/ready")
        assert (status, answer["checks"]) == (503, {"database": "ok", "queue": "ok", "kafka": "failed"})
        assert str(answer["details"]).startswith("{'kafka': 'kafka_unavailable: ")
        body = json.dumps(document("destination.webhook", WITHOUT_SECRETS))
        status, answer = ask(connection, "POST", PATH, body=body, headers=JSON)
    assert (status, answer["code"]) == (503, "kafka_unavailable")


def test_a_stopped_server_frees_its_port(app: Flask) -> None:
    server = serve_embedded(app)
    server.stop()
    with socket.create_server(("127.0.0.1", server.port)):
        pass


def test_the_openapi_document_names_every_address(app: Flask) -> None:
    described = app.test_client().get("/openapi.json").get_json()
    assert described["info"]["title"] == "webhookd"
    assert set(described["paths"]) == {
        PATH,
        f"{PATH}/EndpointCheck",
        f"{PATH}/{{subscription_id}}",
        f"{PATH}/{{subscription_id}}/Status",
        f"{PATH}/{{subscription_id}}/DeadLetter",
        f"{PATH}/{{subscription_id}}/SigningSecret",
        f"{PATH}/{{subscription_id}}/SigningSecret/Rotate",
        f"{PATH}/{{subscription_id}}/Verification",
        "/1/EventNotificationAdmin",
        "/1/AuditLog",
        "/1/Key",
        "/1/Key/{key_id}",
        "/1/Key/{key_id}/Rotate",
        "/1/Policy",
        "/1/Policy/{policy_id}",
        "/1/Policy/{policy_id}/Version",
        "/1/Policy/Confirmation",
        "/1/Policy/DryRun",
        "/health",
        "/ready",
    }
    error = described["components"]["schemas"]["Error"]["properties"]
    assert set(error) == {"type", "title", "code", "status", "detail", "instance", "errors"}
