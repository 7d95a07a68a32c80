"""The rate limit over HTTP: who is counted, what is answered, what is left out.

Oracle: draft-ietf-httpapi-ratelimit-headers-10 for the headers. The limits are such that nothing comes back during a
test, except where the clock is the test's own.
"""

import pytest
from flask import Flask, g, request
from flask.testing import FlaskClient

from api.application import create_app
from webhookd.edges.change_notifications import ChangeNotifier
from webhookd.edges.memory_rate_limits import MemoryRateLimits
from webhookd.edges.redis_url import parse
from webhookd.errors import Unauthenticated
from webhookd.flow.access.caller import Caller, Role
from webhookd.settings import Settings
from webhookd.store.database import Database
from webhookd.testing.memory_kafka_admin import MemoryKafkaAdmin

PATH = "/1/Subscription"
KEYS = {"good": "key-1", "other": "key-2"}


class Clock:
    """A clock that the test moves."""

    now = 1000.0

    def __call__(self) -> float:
        """The time."""
        return self.now


@pytest.fixture
def time() -> Clock:
    """The clock of the limits."""
    return Clock()


@pytest.fixture
def settings() -> Settings:
    """Three requests a minute for a key, two for an address; one trusted proxy."""
    return Settings.model_validate(
        {
            "redis_url": "memory://",
            "api_key_requests_per_minute": 3,
            "api_address_requests_per_minute": 2,
            "api_trusted_proxies": "10.0.0.0/8",
        }
    )


@pytest.fixture
def app(settings: Settings, database: Database, kafka: MemoryKafkaAdmin, time: Clock) -> Flask:
    """The application with two keys; whoever sends another one is refused."""
    app = create_app(
        settings,
        database=database,
        kafka_offsets=kafka,
        notifier=ChangeNotifier(parse("memory://")),
        rate_limits=MemoryRateLimits(time),
    )

    def authenticate() -> None:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in KEYS and request.blueprint != "health":
            raise Unauthenticated
        g.caller = Caller(role=Role.ADMIN, key_id=KEYS.get(token, ""))

    app.before_request_funcs[None].insert(0, authenticate)
    return app


def asked(client: FlaskClient, name: str = "good", path: str = PATH, **options: str) -> int:
    headers = {"Authorization": f"Bearer {name}"}
    headers |= {"X-Forwarded-For": options["forwarded_for"]} if "forwarded_for" in options else {}
    place = {"REMOTE_ADDR": options.get("address", "127.0.0.1")}
    return client.get(path, headers=headers, environ_base=place).status_code


def test_requests_above_the_limit_are_told_when_to_come_back(client: FlaskClient, time: Clock) -> None:
    assert [asked(client) for _ in range(4)] == [200, 200, 200, 429]
    answer = client.get(PATH, headers={"Authorization": "Bearer good"})
    assert answer.get_json()["code"] == "too_many_requests"
    assert answer.headers["Retry-After"] == "20"
    assert answer.headers["RateLimit-Policy"] == '"key";q=3;w=60'
    assert answer.headers["RateLimit"] == '"key";r=0;t=60'
    time.now += 20.0
    assert [asked(client), asked(client)] == [200, 429]


def test_each_answer_says_what_is_left(client: FlaskClient) -> None:
    answer = client.get(PATH, headers={"Authorization": "Bearer good"})
    assert (answer.headers["RateLimit"], answer.headers.get("Retry-After")) == ('"key";r=2;t=20', None)
    missing = client.get("/nothing", headers={"Authorization": "Bearer good"})
    assert (missing.status_code, missing.headers["RateLimit"]) == (404, '"key";r=1;t=40')


def test_each_key_has_its_own_limit(client: FlaskClient) -> None:
    assert [asked(client) for _ in range(4)] == [200, 200, 200, 429]
    assert asked(client, "other") == 200


def test_bad_keys_count_for_the_address_and_not_for_good_keys_behind_it(client: FlaskClient) -> None:
    assert [asked(client, "bad") for _ in range(3)] == [401, 401, 429]
    assert asked(client, "bad", address="192.0.2.1") == 401
    assert asked(client, "good") == 200


def test_headers_of_a_bad_key_are_those_of_the_address(client: FlaskClient) -> None:
    answer = client.get(PATH)
    assert answer.status_code == 401
    assert (answer.headers["RateLimit-Policy"], answer.headers["RateLimit"]) == (
        '"address";q=2;w=60',
        '"address";r=1;t=30',
    )


def test_address_behind_a_trusted_proxy_is_the_clients(client: FlaskClient) -> None:
    proxy = {"address": "10.0.0.1"}
    assert [asked(client, "bad", forwarded_for="192.0.2.1", **proxy) for _ in range(3)] == [401, 401, 429]
    assert asked(client, "bad", forwarded_for="192.0.2.1, 192.0.2.2", **proxy) == 401


def test_client_without_the_proxy_cannot_choose_its_address(client: FlaskClient) -> None:
    answers = [asked(client, "bad", address="198.51.100.1", forwarded_for=f"192.0.2.{n}") for n in range(3)]
    assert answers == [401, 401, 429]


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_monitoring_is_not_limited(client: FlaskClient, path: str) -> None:
    answers = [client.get(path) for _ in range(4)]
    assert 429 not in [answer.status_code for answer in answers]
    assert all("RateLimit" not in answer.headers for answer in answers)


def test_preflight_is_not_limited(client: FlaskClient) -> None:
    assert [asked(client) for _ in range(4)][-1] == 429
    answer = client.options(PATH, headers={"Authorization": "Bearer good"})
    assert (answer.status_code, answer.headers.get("RateLimit")) == (200, None)


def test_refused_request_is_not_carried_out(client: FlaskClient) -> None:
    assert [asked(client) for _ in range(4)][-1] == 429
    body = {"status": "offline"}
    headers = {"Authorization": "Bearer good"}
    assert client.post("/1/EventNotificationAdmin", json=body, headers=headers).status_code == 429
    shown = client.get("/1/EventNotificationAdmin", headers={"Authorization": "Bearer other"})
    assert shown.get_json()["status"] == "online"


@pytest.mark.parametrize("settings", [Settings(redis_url="memory://", api_key_requests_per_minute=0)])
def test_zero_is_no_limit(client: FlaskClient) -> None:
    assert [asked(client) for _ in range(20)] == [200] * 20
    assert "RateLimit" not in client.get(PATH, headers={"Authorization": "Bearer good"}).headers
