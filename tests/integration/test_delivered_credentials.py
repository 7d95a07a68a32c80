"""Credentials of an endpoint from the API to the wire, in the embedded service; the status shows none of them.

Oracles: what the endpoint received, and a token endpoint that issues tokens for one client. Kafka is librdkafka's mock
cluster.
"""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from command.api_client import ManagementClient
from command.embedded import EmbeddedService
from tests.harness.pipeline import until
from tests.harness.receiver import OK, Receiver, Request, status
from tests.harness.secret_keys import KEY
from tests.harness.subscriptions import document
from tests.harness.token_endpoint import TokenEndpoint
from webhookd.settings import Settings
from webhookd.testing.http_endpoint import Answer
from webhookd.testing.mock_cluster import MockCluster

TOPIC = "orders"
SECRET = "s3cret/of the client"  # not a secret of anything


@pytest.fixture(scope="module")
def cluster() -> MockCluster:
    mock = MockCluster()
    mock.create_topic(TOPIC)
    return mock


@pytest.fixture(scope="module")
def service(cluster: MockCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedService]:
    embedded = EmbeddedService(
        Settings(
            kafka_bootstrap_servers=cluster.bootstrap_servers,
            kafka_group_protocol="consumer",
            kafka_fetch_wait_s=0.01,
            redis_url="memory://",
            api_auth="none",
            secret_keys=KEY,
            database_url=f"sqlite:///{tmp_path_factory.mktemp('service') / 'webhookd.db'}",
            egress_allow=("127.0.0.0/8",),
            retry_time_scale=0.02,
            response_bytes=0,
        )
    )
    embedded.start()
    yield embedded
    embedded.stop(5.0)


@pytest.fixture
def api(service: EmbeddedService) -> Iterator[ManagementClient]:
    client = ManagementClient(service.api_url)
    yield client
    client.close()


def subscribe(api: ManagementClient, url: str, authentication: object) -> str:
    body = document("destination.webhook", {"url": url, "authentication": authentication})
    body["source"] = [{"topic": TOPIC}]
    return str(api.register(body)["id"])


def produce(cluster: MockCluster) -> None:
    for partition in range(4):
        cluster.producer.produce(TOPIC, b'{"total": 7}', partition=partition)
    assert cluster.producer.flush(10.0) == 0


def shown(api: ManagementClient, id_: str, wanted: str) -> dict[str, Any]:
    """The status, when its activity has a call whose error is this one; empty for a success."""

    def calls() -> list[str]:
        activity = api.status(id_)["recent_activity"]
        return [entry["error"] for entry in activity if entry["event"] == "api_call"]

    until(lambda: wanted in calls(), f"a call with the error {wanted!r} is shown")
    found: dict[str, Any] = api.status(id_)
    return found


def sent_headers(found: dict[str, Any]) -> list[str]:
    (first, *_) = [entry for entry in found["recent_activity"] if entry["event"] == "api_call"]
    return list(first["request_headers"])


def test_basic_arrives(cluster: MockCluster, api: ManagementClient) -> None:
    with Receiver() as receiver:
        id_ = subscribe(api, receiver.url, {"kind": "basic", "username": "shop", "password": SECRET})
        produce(cluster)
        receiver.wait_for_records(4)
        login = base64.b64encode(f"shop:{SECRET}".encode()).decode()
        assert {request.headers["authorization"] for request in receiver.requests} == {f"Basic {login}"}
        found = shown(api, id_, "")
    assert sent_headers(found)[0] == "Authorization: ****"
    assert login not in json.dumps(found)


def test_token_arrives(cluster: MockCluster, api: ManagementClient) -> None:
    def for_a_token(request: Request) -> Answer:
        return OK if request.headers.get("authorization", "").startswith("Bearer ey") else status(401)

    with TokenEndpoint("shop", "s3cret%2Fof+the+client") as tokens, Receiver(for_a_token) as receiver:
        credentials = {"token_url": tokens.url, "client_id": "shop", "client_secret": SECRET}
        id_ = subscribe(api, receiver.url, {"kind": "oauth2_client_credentials", **credentials})
        produce(cluster)
        receiver.wait_for_records(4)
        sent = {request.headers["authorization"].removeprefix("Bearer ") for request in receiver.requests}
        found = shown(api, id_, "")
    assert sent_headers(found)[0] == "Authorization: ****"
    assert [token for token in sent if token in json.dumps(found)] == []


def test_refused_client_is_in_the_status(cluster: MockCluster, api: ManagementClient) -> None:
    with TokenEndpoint("shop", "another one") as tokens, Receiver() as receiver:
        credentials = {"token_url": tokens.url, "client_id": "shop", "client_secret": SECRET}
        id_ = subscribe(api, receiver.url, {"kind": "oauth2_client_credentials", **credentials})
        produce(cluster)
        found = shown(api, id_, "token_refused")
        assert receiver.requests == []
    details = {entry["detail"] for entry in found["recent_activity"] if entry["error"] == "token_refused"}
    assert details == {"the token endpoint answered 401 (invalid_client)"}
    assert "s3cret" not in json.dumps(found)
