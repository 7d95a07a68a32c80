"""The rate limit over HTTP: who is counted, what is answered, what is left out.

Oracle: draft-ietf-httpapi-ratelimit-headers-10 for the headers. The limits are such that nothing comes back during a
test, except where the clock is the test's own.
"""

from collections.abc import Iterator

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from api.application import create_app
from api.extensions.authentication import authenticator_of
from tests.harness.api_callers import As, callers
from tests.harness.sent_statements import sent_statements
from tests.harness.subscriptions import ID, subscription
from webhookd.edges.change_notifications import ChangeNotifier
from webhookd.edges.memory_rate_limits import MemoryRateLimits
from webhookd.edges.redis_url import parse
from webhookd.settings import Settings
from webhookd.store import subscriptions
from webhookd.store.database import Database
from webhookd.testing.memory_kafka_admin import MemoryKafkaAdmin

PATH = "/1/Subscription"
LAST_USE_S = 10.0


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
def app(settings: Settings, database: Database, kafka: MemoryKafkaAdmin, time: Clock) -> Iterator[Flask]:
    """The application with API keys."""
    app = create_app(
        settings,
        database=database,
        kafka_offsets=kafka,
        notifier=ChangeNotifier(parse("memory://")),
        rate_limits=MemoryRateLimits(time),
    )
    yield app
    authenticator_of(app).last_use.settle(LAST_USE_S)


class Askers:
    """Sends requests as the callers of the harness."""

    def __init__(self, app: Flask, database: Database) -> None:
        self._callers = callers(app.test_client(), database)

    def answer(self, who: As = As.ADMIN, path: str = PATH, method: str = "GET", **more: str) -> TestResponse:
        """The answer to one request; `address` is the peer's."""
        headers = self._callers.headers(who)
        headers |= {"X-Forwarded-For": more["forwarded_for"]} if "forwarded_for" in more else {}
        place = {"REMOTE_ADDR": more.get("address", "127.0.0.1")}
        return self._callers.client.open(path, method=method, headers=headers, environ_base=place)

    def __call__(self, who: As = As.ADMIN, path: str = PATH, **more: str) -> int:
        """The status of one request."""
        return self.answer(who, path, **more).status_code


@pytest.fixture
def ask(app: Flask, database: Database) -> Askers:
    """What sends requests."""
    return Askers(app, database)


def test_requests_above_the_limit_are_told_when_to_come_back(ask: Askers, time: Clock) -> None:
    assert [ask() for _ in range(4)] == [200, 200, 200, 429]
    answer = ask.answer()
    assert answer.get_json()["code"] == "too_many_requests"
    assert answer.headers["Retry-After"] == "20"
    assert answer.headers["RateLimit-Policy"] == '"key";q=3;w=60'
    assert answer.headers["RateLimit"] == '"key";r=0;t=60'
    time.now += 20.0
    assert [ask(), ask()] == [200, 429]


def test_each_answer_says_what_is_left(ask: Askers) -> None:
    answer = ask.answer()
    assert (answer.headers["RateLimit"], answer.headers.get("Retry-After")) == ('"key";r=2;t=20', None)
    missing = ask.answer(path=f"{PATH}/{ID}")
    assert (missing.status_code, missing.headers["RateLimit"]) == (404, '"key";r=1;t=40')


def test_each_key_has_its_own_limit(ask: Askers) -> None:
    assert [ask() for _ in range(4)] == [200, 200, 200, 429]
    assert ask(As.CLIENT) == 200


def test_bad_keys_count_for_the_address_and_not_for_good_keys_behind_it(ask: Askers) -> None:
    assert ask() == 200
    assert [ask(who) for who in (As.WRONG, As.NOBODY, As.EXPIRED)] == [401, 401, 429]
    assert ask(As.WRONG, address="192.0.2.1") == 401
    assert ask() == 200


def test_unknown_keys_of_an_address_above_its_limit_cost_no_query(ask: Askers) -> None:
    assert ask(As.ADMIN) == 200
    assert [ask(As.UNKNOWN) for _ in range(3)] == [401, 401, 429]
    with sent_statements() as sent:
        answer = ask.answer(As.UNKNOWN)
        assert ask(As.CLIENT) == 429, "a valid key that this process has not seen"
    assert (sent, answer.status_code, answer.headers["Retry-After"]) == ([], 429, "30")
    assert answer.headers["RateLimit"] == '"address";r=0;t=60'
    assert [ask(As.ADMIN), ask(As.CLIENT, address="192.0.2.1")] == [200, 200]
    assert ask(As.CLIENT) == 200, "it was seen from another address"


def test_headers_of_a_bad_key_are_those_of_the_address(ask: Askers) -> None:
    answer = ask.answer(As.WRONG)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
    assert (answer.headers["RateLimit-Policy"], answer.headers["RateLimit"]) == (
        '"address";q=2;w=60',
        '"address";r=1;t=30',
    )


def test_refusals_for_the_role_count_for_the_key(ask: Askers) -> None:
    assert [ask(As.VIEWER, "/1/Key") for _ in range(4)] == [403, 403, 403, 429]
    assert ask(As.NOBODY) == 401


@pytest.mark.parametrize(("path", "status"), [("/openapi.json", 200), ("/nothing", 404)])
def test_open_paths_count_for_the_address(ask: Askers, path: str, status: int) -> None:
    assert [ask(As.NOBODY, path) for _ in range(3)] == [status, status, 429]


def test_address_behind_a_trusted_proxy_is_the_clients(ask: Askers) -> None:
    proxy = {"address": "10.0.0.1"}
    assert [ask(As.WRONG, forwarded_for="192.0.2.1", **proxy) for _ in range(3)] == [401, 401, 429]
    assert ask(As.WRONG, forwarded_for="192.0.2.1, 192.0.2.2", **proxy) == 401


def test_client_without_the_proxy_cannot_choose_its_address(ask: Askers) -> None:
    answers = [ask(As.WRONG, address="198.51.100.1", forwarded_for=f"192.0.2.{n}") for n in range(3)]
    assert answers == [401, 401, 429]


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_monitoring_is_not_limited(ask: Askers, path: str) -> None:
    answers = [ask.answer(As.NOBODY, path) for _ in range(4)]
    assert 429 not in [answer.status_code for answer in answers]
    assert all("RateLimit" not in answer.headers for answer in answers)


def test_preflight_is_not_limited(ask: Askers) -> None:
    assert [ask() for _ in range(4)][-1] == 429
    answer = ask.answer(method="OPTIONS")
    assert (answer.status_code, answer.headers.get("RateLimit")) == (200, None)


def test_refused_request_is_not_carried_out(ask: Askers, database: Database) -> None:
    with database.transaction() as session:
        subscriptions.insert(session, subscription(ID))
    assert [ask() for _ in range(4)][-1] == 429
    assert ask(path=f"{PATH}/{ID}", method="DELETE") == 429
    with database.transaction() as session:
        assert list(subscriptions.versions(session)) == [ID]


UNLIMITED = {"redis_url": "memory://", "api_key_requests_per_minute": 0, "api_address_requests_per_minute": 0}


@pytest.mark.parametrize("settings", [Settings.model_validate(UNLIMITED)])
@pytest.mark.parametrize(("who", "status"), [(As.ADMIN, 200), (As.NOBODY, 401)])
def test_zero_is_no_limit(ask: Askers, who: As, status: int) -> None:
    assert [ask(who) for _ in range(20)] == [status] * 20
    assert "RateLimit" not in ask.answer(who).headers


@pytest.mark.parametrize("settings", [Settings(redis_url="memory://", api_auth="none")])
def test_without_keys_nothing_is_counted(ask: Askers) -> None:
    assert [ask(As.NOBODY) for _ in range(70)] == [200] * 70
    assert [ask(As.NOBODY, "/nothing") for _ in range(70)] == [404] * 70
