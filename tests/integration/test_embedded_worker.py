"""The embedded service in this process: it delivers, stops, and leaves no thread behind.

Oracles: a checking receiver, the interpreter's list of threads. Kafka is librdkafka's mock cluster. Queue and
coordination store are the embedded ones, which is what is tested here.
"""

import base64
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import SecretStr
from standardwebhooks import Webhook

from command.api_client import ManagementClient
from command.embedded import EmbeddedService
from command.run_subscription import RunOptions, register
from tests.harness.databases import create_tables
from tests.harness.pipeline import until
from tests.harness.receiver import OK, Receiver, Request, status
from tests.harness.secret_keys import KEY
from tests.harness.subscriptions import SECRET
from webhookd.errors import InvalidInput
from webhookd.settings import Settings
from webhookd.testing.mock_cluster import MockCluster

TOPIC = "orders"
RECORDS = 400


@pytest.fixture(scope="module")
def cluster() -> MockCluster:
    mock = MockCluster()
    mock.create_topic(TOPIC)
    return mock


@pytest.fixture
def settings(cluster: MockCluster, tmp_path: Path) -> Settings:
    url = f"sqlite:///{tmp_path / 'webhookd.db'}"
    create_tables(url)
    return Settings(
        kafka_bootstrap_servers=cluster.bootstrap_servers,
        kafka_group_protocol="consumer",
        kafka_fetch_wait_s=0.01,
        redis_url="memory://",
        api_auth="none",
        database_url=url,
        secret_keys=SecretStr(KEY),
        egress_allow=("127.0.0.0/8",),
        retry_time_scale=0.02,
    )


@pytest.fixture
def service(settings: Settings) -> Iterator[EmbeddedService]:
    embedded = EmbeddedService(settings)
    yield embedded
    embedded.stop(5.0)


@pytest.fixture
def api(service: EmbeddedService) -> Iterator[ManagementClient]:
    client = ManagementClient(service.api_url)
    yield client
    client.close()


def options(url: str = "https://127.0.0.1:1/", **changes: object) -> RunOptions:
    usual: dict[str, object] = {
        "topics": [TOPIC],
        "url": url,
        "filters": [],
        "on_filter_error": "dead_letter",
        "batch_size": 1,
        "batch_interval": 1,
        "headers": [],
        "signing_secret": None,
        "start": None,
    }
    return RunOptions.of({**usual, **changes})


def produce(cluster: MockCluster, count: int) -> None:
    for number in range(count):
        cluster.producer.produce(TOPIC, b'{"number":%d}' % number, partition=number % 4)
    assert cluster.producer.flush(10.0) == 0


def test_records_arrive_in_order_and_no_thread_is_left(cluster: MockCluster, settings: Settings) -> None:
    before = set(threading.enumerate())
    embedded = EmbeddedService(settings)
    with Receiver() as receiver:
        try:
            client = ManagementClient(embedded.api_url)
            id_ = register(client, options(receiver.url, batch_size=10)).id
            embedded.start()
            produce(cluster, RECORDS)
            receiver.wait_for_records(RECORDS)
            until(lambda: client.status(id_)["counters"]["delivered"] == RECORDS, "the status counts every record")
            client.close()
        finally:
            embedded.stop(5.0)
        assert (receiver.repeats, receiver.out_of_order) == (0, 0)
    own = [thread.name for thread in set(threading.enumerate()) - before if "tests/harness" not in repr(thread)]
    assert [name for name in own if not name.startswith("Thread-")] == []
    assert not embedded.alive


def test_failed_delivery_is_retried_in_memory(
    cluster: MockCluster, service: EmbeddedService, api: ManagementClient
) -> None:
    answers = iter([status(503), *[OK] * 3])
    with Receiver(lambda _request: next(answers)) as receiver:
        register(api, options(receiver.url, batch_size=100))
        service.start()
        produce(cluster, 4)
        receiver.wait_for_records(4)


def test_refused_address_is_not_tried_again_and_names_its_rule(cluster: MockCluster, settings: Settings) -> None:
    embedded = EmbeddedService(settings.model_copy(update={"egress_allow": (), "retry_time_scale": 1.0}))
    client = ManagementClient(embedded.api_url)
    try:
        with Receiver() as receiver:
            registered = register(client, options(receiver.url.replace("127.0.0.1", "localhost"), batch_size=100))
            assert any("(loopback)" in line for line in registered.warnings), registered.warnings
            embedded.start()
            produce(cluster, 1)
            until(lambda: client.status(registered.id)["reason"] == "address_refused", "the status names the refusal")
            calls = [found for found in client.status(registered.id)["recent_activity"] if found["event"] == "api_call"]
            assert [call["detail"] for call in calls] == ["the address of the host is loopback"], "one attempt"
            assert receiver.requests == []
    finally:
        client.close()
        embedded.stop(5.0)


def test_second_registration_finds_the_first(service: EmbeddedService, api: ManagementClient) -> None:
    del service
    first = register(api, options("https://127.0.0.1:1/", headers=["X-Key: 1"]))
    changes = {"headers": ["X-Key: 2"], "batch_size": 7, "filters": ['status == "paid"']}
    again = register(api, options("https://127.0.0.1:1/", **changes))
    [known] = api.subscriptions()
    assert [line for line in again.warnings if "field paid" in line and line.startswith("--filter: ")]
    assert first.id == again.id == known["id"]
    assert known["configuration"]["batching"]["max_batch_size"] == 7


def test_unchanged_options_change_nothing(service: EmbeddedService, api: ManagementClient) -> None:
    del service
    id_ = register(api, options("https://127.0.0.1:1/", filters=["number > `1`"])).id
    before = api.status(id_)["recent_activity"]
    assert register(api, options("https://127.0.0.1:1/", filters=["number > `1`"])).id == id_
    assert api.status(id_)["recent_activity"] == before


def test_policy_for_filter_errors_can_be_changed(service: EmbeddedService, api: ManagementClient) -> None:
    del service
    register(api, options("https://127.0.0.1:1/", on_filter_error="drop"))
    [known] = api.subscriptions()
    assert known["configuration"]["filtering"] == {"on_filter_error": "drop"}
    register(api, options("https://127.0.0.1:1/"))
    [known] = api.subscriptions()
    assert known["configuration"]["filtering"] == {"on_filter_error": "dead_letter"}


@pytest.mark.parametrize(
    ("changes", "option"),
    [
        ({"filters": ["a ="]}, "--filter"),
        ({"on_filter_error": "ignore"}, "--on-filter-error"),
        ({"headers": ["Host: x"]}, "--header"),
        ({"signing_secret": "whsec_"}, "--signing-secret"),
        ({"topics": ["a b"]}, "--topic"),
        ({"topics": ["a", "a"]}, "--topic"),
        ({"url": "ftp://x"}, "--url"),
    ],
)
def test_refused_option_is_named(api: ManagementClient, changes: dict[str, Any], option: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        register(api, options(**changes))
    assert refused.value.field == option


def test_other_start_for_a_known_topic_is_refused(api: ManagementClient) -> None:
    register(api, options("https://127.0.0.1:1/", start="latest"))
    with pytest.raises(InvalidInput) as refused:
        register(api, options("https://127.0.0.1:1/", start="earliest"))
    assert refused.value.field == "--from"


def test_requests_verify_with_the_official_library(
    cluster: MockCluster, service: EmbeddedService, api: ManagementClient
) -> None:
    """With the first secret, with both while it is replaced, and with the key pair that follows."""
    answers = iter([status(503), *[OK] * 100])
    with Receiver(lambda _request: next(answers)) as receiver:
        id_ = register(api, options(receiver.url, batch_size=100, signing_secret=SECRET)).id
        service.start()
        produce(cluster, 4)
        receiver.wait_for_records(4)
        assert len(receiver.requests) > 1
        for request in receiver.requests:
            assert Webhook(SECRET).verify(request.body, request.headers)["messages"] == request.messages

        rotated = rotate(service, id_, {"kind": "ed25519"})
        produce(cluster, 4)
        receiver.wait_for_records(8)
        last = receiver.requests[-1]
        Webhook(SECRET).verify(last.body, last.headers)
        assert verified_with(rotated["public_key"], last)


def rotate(service: EmbeddedService, id_: str, body: dict[str, str]) -> dict[str, str]:
    """Rotate the signing secret; returns the API's answer."""
    path = f"{service.api_url}/1/Subscription/{id_}/SigningSecret/Rotate"
    answer = requests.post(path, json=body, timeout=10.0)
    assert answer.status_code == 200, answer.text
    rotated: dict[str, str] = answer.json()
    return rotated


def verified_with(public_key: str, request: Request) -> bool:
    """Whether one of the signatures is that of the public key."""
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key.removeprefix("whpk_")))
    head = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}."
    for signature in request.headers["webhook-signature"].split(" "):
        version, _, value = signature.partition(",")
        if version == "v1a":
            key.verify(base64.b64decode(value), head.encode() + request.body)
            return True
    return False
