"""Who a request comes from: headers, the work of a check, the last use of a key, and what fails closed.

Real: Flask, the routes, SQLite.
"""

import hmac
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest
from flask import Flask
from flask.views import MethodView

from api.embedded_server import serve_embedded
from api.extensions import authorization
from api.extensions.authentication import Authenticator, authenticator_of
from api.extensions.authorization import READERS, requires
from api.extensions.callers import current_caller
from api.extensions.last_use import INTERVAL_S, LastUse
from command.api_client import ManagementClient
from stack import procfile
from tests.harness.api_callers import DAY_S, TENANT, As, Callers, last_use, made_key
from tests.harness.sent_statements import sent_statements
from webhookd import clock
from webhookd.errors import InvalidInput, Unauthenticated
from webhookd.flow.access.caller import Role
from webhookd.store.database import Database
from webhookd.store.key_changes import NewKey
from webhookd.testing.memory_kafka_admin import MemoryKafkaAdmin

PATH = "/1/Subscription"
ACME = NewKey(name="acme", role=Role.CLIENT, tenant=TENANT)
WAIT_S = 10.0


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER ", "Bearer   "])
def test_the_scheme_is_written_in_any_case(asked: Callers, scheme: str) -> None:
    sent = {"Authorization": scheme + asked.keys[As.CLIENT]}
    assert asked.client.get(PATH, headers=sent).status_code == 200


@pytest.mark.parametrize(
    ("header", "invalid"),
    [
        ("{key}", False),
        ("Basic {key}", False),
        ("Bearer", False),
        ("", False),
        ("Bearer {key}, Bearer {key}", True),
        ("Bearer {key} {key}", True),
        ('Bearer "{key}"', True),
        ("Bearer " + 50_000 * "x", True),
        ("Bearer \u00e9", True),
    ],
)
def test_any_other_header_is_refused(asked: Callers, header: str, invalid: bool) -> None:
    sent = {"Authorization": header.format(key=asked.keys[As.CLIENT])}
    answer = asked.client.get(PATH, headers=sent)
    assert (answer.status_code, answer.get_json()["code"]) == (401, "unauthenticated")
    assert ('error="invalid_token"' in answer.headers["WWW-Authenticate"]) is invalid


@pytest.mark.parametrize("place", [f"{PATH}?key={{key}}", f"{PATH}?access_token={{key}}"])
def test_a_key_in_the_url_is_no_key(asked: Callers, place: str) -> None:
    assert asked.client.get(place.format(key=asked.keys[As.ADMIN])).status_code == 401


@pytest.mark.parametrize(
    ("who", "said"),
    [
        (As.EXPIRED, "has expired"),
        (As.REVOKED, "was revoked"),
        (As.UNKNOWN, "is not known"),
        (As.WRONG, "is not known"),
    ],
)
def test_only_the_owner_of_a_key_learns_what_became_of_it(asked: Callers, who: As, said: str) -> None:
    assert said in asked.ask(who, "GET", PATH).text


def test_an_unknown_key_costs_the_same_work_as_a_wrong_secret(asked: Callers, monkeypatch: pytest.MonkeyPatch) -> None:
    compare, compared = hmac.compare_digest, list[int]()

    def noted(one: str, two: str) -> bool:
        compared.append(len(two))
        return compare(one, two)

    monkeypatch.setattr(hmac, "compare_digest", noted)
    work = []
    for who in (As.UNKNOWN, As.WRONG):
        with sent_statements() as statements:
            asked.ask(who, "GET", PATH)
        work.append((list(statements), list(compared)))
        compared.clear()
    assert work[0] == work[1]
    assert len([statement for statement in work[0][0] if "api_keys" in statement]) == 1
    assert work[0][1] == [64]


def test_keys_end_by_the_clock(database: Database) -> None:
    now = [clock.wall_clock()]
    authenticator = Authenticator(
        database, LastUse(database, clock.monotonic, clock.wall_clock), lambda: now[0], checked=True
    )
    header = f"Bearer {made_key(database, replace(ACME, expires_at=now[0] + 100)).token.text}"
    assert authenticator.caller(header, "").tenant == TENANT
    now[0] += 101
    with pytest.raises(Unauthenticated, match="expired"):
        authenticator.caller(header, "")
    authenticator.last_use.settle(WAIT_S)


def test_the_last_use_is_written_once_a_minute(database: Database) -> None:
    now = [1000.0]
    uses = LastUse(database, lambda: now[0], lambda: 1_800_000_000.0 + now[0])
    id_ = made_key(database, ACME).key.id
    seen = []
    for passed in (0.0, INTERVAL_S - 1, 1.0):
        now[0] += passed
        uses.note(id_)
        uses.settle(WAIT_S)
        seen.append(last_use(database, id_))
    assert seen == [1_800_001_000.0, 1_800_001_000.0, 1_800_001_060.0]


def test_a_last_use_that_cannot_be_written_is_nobodys_problem() -> None:
    uses = LastUse(Database("postgresql+psycopg2://u:p@127.0.0.1:1/d"), clock.monotonic, clock.wall_clock)
    uses.note("f" * 20)
    uses.settle(WAIT_S)


def test_requests_note_the_use_of_their_key(asked: Callers, keyed_app: Flask, database: Database) -> None:
    public = asked.keys[As.VIEWER].split("_")[1]
    assert last_use(database, public) is None
    asked.ask(As.VIEWER, "GET", PATH)
    authenticator_of(keyed_app).last_use.settle(WAIT_S)
    assert clock.wall_clock() - DAY_S < (last_use(database, public) or 0.0) <= clock.wall_clock()


def test_a_refused_key_counts_as_unused(asked: Callers, keyed_app: Flask, database: Database) -> None:
    for who in (As.WRONG, As.EXPIRED, As.REVOKED):
        asked.ask(who, "GET", PATH)
        authenticator_of(keyed_app).last_use.settle(WAIT_S)
        assert last_use(database, asked.keys[who].split("_")[1]) is None


def test_without_a_caller_nothing_is_answered(keyed_app: Flask) -> None:
    with keyed_app.test_request_context("/"), pytest.raises(Unauthenticated):
        current_caller()


def test_a_route_that_declares_nothing_prevents_the_start(keyed_app: Flask) -> None:
    class Forgotten(MethodView):
        @requires(READERS)
        def get(self) -> str:
            return ""

        def post(self) -> str:
            return "done"

    view = Forgotten.as_view("forgotten")
    keyed_app.add_url_rule("/forgotten", view_func=view)
    with pytest.raises(RuntimeError, match=r"^without @requires: POST /forgotten$"):
        authorization.check_declared(keyed_app)


def test_a_route_that_declares_nothing_is_for_admins(keyed_app: Flask, asked: Callers) -> None:
    keyed_app.add_url_rule("/forgotten", view_func=lambda: "done", endpoint="forgotten")
    statuses = {who: asked.ask(who, "GET", "/forgotten").status_code for who in (As.ADMIN, As.CLIENT, As.NOBODY)}
    assert statuses == {As.ADMIN: 200, As.CLIENT: 403, As.NOBODY: 401}


def test_health_shows_details_to_admins_alone(asked: Callers) -> None:
    shown = {who: asked.ask(who, "GET", "/health").get_json() for who in As}
    assert shown[As.ADMIN]["faults"]
    assert shown[As.ADMIN]["warnings"] == []
    del shown[As.ADMIN]
    assert shown == {who: {"status": "degraded"} for who in shown}


def test_offline_is_degraded_to_others(asked: Callers) -> None:
    asked.ask(As.ADMIN, "POST", "/1/EventNotificationAdmin", {"status": "offline", "offline_message": "secret plans"})
    assert asked.ask(As.ADMIN, "GET", "/health").get_json()["status"] == "offline"
    assert asked.ask(As.NOBODY, "GET", "/health").get_json() == {"status": "degraded"}


def test_the_role_that_is_needed_is_named(asked: Callers) -> None:
    answer = asked.ask(As.VIEWER, "POST", PATH, {})
    assert answer.get_json()["detail"] == "needs a key with the role admin or client; this key has the role viewer"


@pytest.fixture
def keyed_url(keyed_app: Flask) -> Iterator[str]:
    """The URL of the API with keys, in a thread of this process."""
    server = serve_embedded(keyed_app)
    yield f"http://127.0.0.1:{server.port}"
    server.stop()


def test_the_commands_own_client_sends_its_key(keyed_url: str, asked: Callers) -> None:
    with closing(ManagementClient(keyed_url, asked.keys[As.CLIENT])) as client:
        assert client.subscriptions() == []
    with closing(ManagementClient(keyed_url)) as client, pytest.raises(InvalidInput, match="send an API key"):
        client.subscriptions()


def test_make_service_reads_health_with_and_without_a_key(
    keyed_url: str, asked: Callers, kafka: MemoryKafkaAdmin
) -> None:
    kafka.down = True
    assert procfile._missing(keyed_url, asked.keys[As.ADMIN]) == "kafka_unavailable, no_ingest"
    assert procfile._missing(keyed_url) == "degraded"
