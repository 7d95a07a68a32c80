"""Requests are counted once, by operation and status, whatever answers them.

Oracle: what the test has sent. Real: Flask, the routes, SQLite, the embedded server. In memory: Kafka.
"""

import socket
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from api.embedded_server import serve_embedded
from tests.harness.api_apps import new_app
from tests.harness.metrics import LiveMetrics
from tests.harness.subscriptions import document
from webhookd.settings import Settings
from webhookd.store.database import Database
from webhookd.testing.memory_kafka_admin import MemoryKafkaAdmin

PATH = "/1/Subscription"
ONE = f"{PATH}/00000000-0000-4000-8000-000000000000"
WAIT_S = 20.0

Counts = dict[tuple[str, str], float]


@pytest.fixture
def failing(settings: Settings, database: Database, kafka: MemoryKafkaAdmin) -> Flask:
    """An application with a fault in a route."""

    def fault(**_arguments: object) -> str:
        raise RuntimeError("a fault")

    made = new_app(settings, database, kafka)
    made.view_functions["health.Health"] = fault
    return made


def requests(live: LiveMetrics) -> Counts:
    """How many requests of each operation got which status."""
    counted = live.read().series("webhookd_api_requests_total")
    return {(sample.labels["operation"], sample.labels["status"]): sample.value for sample in counted}


def open_requests(live: LiveMetrics) -> float | None:
    return live.read().value("webhookd_api_requests_open")


# What is sent · what is counted
REQUESTS: list[tuple[str, str, dict[str, Any], tuple[str, str]]] = [
    ("GET", PATH, {}, ("listSubscriptions", "200")),
    ("HEAD", PATH, {}, ("listSubscriptions", "200")),
    ("POST", PATH, {"json": document()}, ("createSubscription", "201")),
    ("POST", PATH, {"data": b"{", "content_type": "application/json"}, ("createSubscription", "400")),
    ("POST", PATH, {"json": document("name", 7)}, ("createSubscription", "422")),
    ("POST", PATH, {"data": b" " * 20_001, "content_type": "application/json"}, ("createSubscription", "413")),
    ("GET", ONE, {}, ("getSubscription", "404")),
    ("GET", f"{ONE}/Status", {}, ("getSubscriptionStatus", "404")),
    ("DELETE", PATH, {}, ("unknown", "405")),
    ("OPTIONS", PATH, {}, ("unknown", "200")),
    ("GET", "/1/Nothing", {}, ("unknown", "404")),
    ("GET", "/docs", {}, ("unknown", "200")),
    ("GET", "/openapi.json", {}, ("unknown", "200")),
    ("GET", "/health", {}, ("getHealth", "200")),
    ("GET", PATH, {"headers": {"Host": "evil.example.com"}}, ("listSubscriptions", "421")),
]


@pytest.mark.parametrize(("method", "path", "sent", "counted"), REQUESTS)
def test_request_is_counted_once(
    client: FlaskClient,
    live_metrics: LiveMetrics,
    method: str,
    path: str,
    sent: dict[str, Any],
    counted: tuple[str, str],
) -> None:
    with client.open(path, method=method, **sent) as answer:
        assert str(answer.status_code) == counted[1]
    assert requests(live_metrics) == {counted: 1}
    assert live_metrics.read().value("webhookd_api_request_duration_seconds_count", operation=counted[0]) == 1
    assert open_requests(live_metrics) == 0


def test_a_repetition_that_gets_the_stored_answer_counts_too(client: FlaskClient, live_metrics: LiveMetrics) -> None:
    key = {"Idempotency-Key": "again"}
    answers = [client.post(PATH, json=document(), headers=key) for _ in range(2)]
    assert answers[1].headers["Idempotent-Replayed"] == "true"
    assert requests(live_metrics) == {("createSubscription", "201"): 2}


def test_refusals_by_authentication_and_rate_limit_count(
    settings: Settings, database: Database, kafka: MemoryKafkaAdmin, live_metrics: LiveMetrics
) -> None:
    limited = settings.model_copy(update={"api_auth": "keys", "api_address_requests_per_minute": 2})
    client = new_app(limited, database, kafka).test_client()
    assert [client.get(PATH).status_code for _ in range(4)] == [401, 401, 429, 429]
    assert requests(live_metrics) == {("listSubscriptions", "401"): 2, ("listSubscriptions", "429"): 2}


def test_a_fault_counts_as_500(failing: Flask, live_metrics: LiveMetrics) -> None:
    assert failing.test_client().get("/health").status_code == 500
    assert requests(live_metrics) == {("getHealth", "500"): 1}
    assert open_requests(live_metrics) == 0


def test_a_request_is_open_while_the_application_works_on_it(app: Flask, live_metrics: LiveMetrics) -> None:
    open_now: list[float | None] = []
    app.before_request(lambda: open_now.append(open_requests(live_metrics)))
    app.test_client().get("/nothing")
    assert open_now == [1]


def test_without_an_address_nothing_is_counted(
    settings: Settings, database: Database, kafka: MemoryKafkaAdmin, live_metrics: LiveMetrics
) -> None:
    app = new_app(settings.model_copy(update={"metrics_bind": ""}), database, kafka)
    assert app.test_client().get(PATH).status_code == 200
    assert requests(live_metrics) == {}


def test_the_embedded_server_counts_requests_and_refusals(app: Flask, live_metrics: LiveMetrics) -> None:
    server = serve_embedded(app)
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=WAIT_S)) as connection:
        connection.request("GET", PATH)
        assert connection.getresponse().read()
    with socket.create_connection(("127.0.0.1", server.port), WAIT_S) as client:
        client.sendall(b"GET / HTTP/9.9\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 505")
    server.stop()
    assert requests(live_metrics) == {("listSubscriptions", "200"): 1}
    assert live_metrics.read().value("webhookd_api_requests_refused_total", status="505") == 1
