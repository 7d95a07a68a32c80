"""The audit log over HTTP: each change has its entry, refused ones have none, and no entry has a secret.

Real: Flask, the routes, SQLite. The callers are set as authentication sets them. Who may read it is in
test_every_operation.py.
"""

import random
import string
from typing import Any

import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from sqlalchemy import select

from api.extensions.callers import set_caller
from tests.harness.dead_letters import dead_letter
from tests.harness.subscriptions import document
from webhookd.flow.access.caller import Caller, Role
from webhookd.store import dead_letters
from webhookd.store.access_tables import AuditLogRow, IdempotencyKeyRow
from webhookd.store.database import Database
from webhookd.testing.memory_kafka_admin import MemoryKafkaAdmin

PATH = "/1/AuditLog"
SUBSCRIPTION = "/1/Subscription"
HEADERS = "destination.webhook.headers"
CALLERS = {
    "admin": Caller(role=Role.ADMIN, key_id="key-admin", name="operator", address="192.0.2.1"),
    "client": Caller(role=Role.CLIENT, tenant="default", key_id="key-client", name="shop", address="192.0.2.2"),
}


@pytest.fixture(autouse=True)
def authentication(app: Flask) -> None:
    """Set the caller that the test names, after the application's own hooks."""
    app.before_request(lambda: set_caller(CALLERS[request.headers.get("Caller", "admin")]))


@pytest.fixture
def id_(client: FlaskClient) -> str:
    """A registered subscription."""
    return str(client.post(SUBSCRIPTION, json=document(), headers={"Caller": "client"}).get_json()["id"])


def entries(client: FlaskClient, **query: str) -> list[dict[str, Any]]:
    answer = client.get(PATH, query_string=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.get_json()
    return found


def actions(client: FlaskClient, **query: str) -> list[str]:
    return [entry["action"] for entry in entries(client, **query)]


def test_registration_is_recorded_with_who_and_what(client: FlaskClient, id_: str) -> None:
    [entry] = entries(client)
    assert entry.pop("at").endswith("Z")
    assert entry.pop("id") > 0
    after = entry.pop("after")
    assert entry == {
        "key_id": "key-client",
        "key_name": "shop",
        "role": "client",
        "address": "192.0.2.2",
        "tenant": "default",
        "action": "create",
        "subject_kind": "Subscription",
        "subject_id": id_,
        "before": None,
    }
    assert after == client.get(f"{SUBSCRIPTION}/{id_}").get_json()


def test_each_kind_of_change_has_its_action(client: FlaskClient, id_: str) -> None:
    path = f"{SUBSCRIPTION}/{id_}"
    for field, value in (("name", "other"), ("active", "no"), ("active", "yes")):
        assert client.put(path, json=document(field, value)).status_code == 200
    assert client.delete(path).status_code == 204
    assert actions(client) == ["delete", "activate", "deactivate", "change", "create"]
    [deleted] = entries(client, action="delete")
    assert (deleted["before"]["name"], deleted["after"]) == ("orders to the shop", None)
    [changed] = entries(client, action="change")
    assert (changed["before"]["name"], changed["after"]["name"]) == ("orders to the shop", "other")


def test_new_value_of_a_header_is_named_and_not_shown(client: FlaskClient, id_: str) -> None:
    headers = ["X-Api-Key: another-secret", "X-New: value"]
    assert client.put(f"{SUBSCRIPTION}/{id_}", json=document(HEADERS, headers)).status_code == 200
    [entry] = entries(client, action="change")
    assert entry["after"]["changed_header_values"] == ["X-Api-Key"]
    assert entry["after"]["destination"]["webhook"]["headers"] == ["X-Api-Key: ****", "X-New: ****"]


def test_refused_and_failed_changes_are_not_recorded(client: FlaskClient, id_: str, kafka: MemoryKafkaAdmin) -> None:
    assert client.post(SUBSCRIPTION, json=document("name", "")).status_code == 422
    kafka.down = True
    assert client.post(SUBSCRIPTION, json=document()).status_code == 503
    assert client.delete(f"{SUBSCRIPTION}/{id_[:-1]}{'0' if id_[-1] != '0' else '1'}").status_code == 404
    assert actions(client) == ["create"]


def test_switch_is_recorded(client: FlaskClient) -> None:
    for body in ({"status": "offline", "offline_message": "moving"}, {"status": "online"}):
        assert client.post("/1/EventNotificationAdmin", json=body).status_code == 200
    online, offline = entries(client)
    assert (offline["before"], offline["after"]) == (
        {"status": "online", "offline_message": ""},
        {"status": "offline", "offline_message": "moving"},
    )
    assert (online["before"], online["tenant"], online["subject_id"]) == (offline["after"], None, "1")


def test_deletion_of_dead_letters_says_how_many(client: FlaskClient, database: Database, id_: str) -> None:
    with database.transaction() as session:
        dead_letters.append(session, [dead_letter(id_, offset, 1) for offset in range(3)])
    path = f"{SUBSCRIPTION}/{id_}/DeadLetter"
    assert client.delete(f"{path}?older_than=2024-01-01T00:00:00Z").get_json()["deleted"] == 0
    client.delete(SUBSCRIPTION + f"/{id_}")
    assert client.delete(path).get_json()["deleted"] == 3
    [entry] = entries(client, subject_kind="DeadLetter")
    assert (entry["subject_id"], entry["before"]) == (id_, {"dead_letters": 3, "older_than": None})
    assert entry["tenant"] == "default"


def test_unusable_subscription_is_recorded_without_its_document(
    client: FlaskClient, database: Database, id_: str
) -> None:
    with database.transaction() as session:
        session.connection().exec_driver_sql("UPDATE subscriptions SET sources = '7'")
    assert client.delete(f"{SUBSCRIPTION}/{id_}").status_code == 204
    [entry] = entries(client, action="delete")
    assert (entry["before"], entry["tenant"]) == ({"id": id_, "unusable": True}, "default")


def test_filters_and_pages(client: FlaskClient, id_: str) -> None:
    client.put(f"{SUBSCRIPTION}/{id_}", json=document("name", "other"))
    assert actions(client, key_id="key-admin") == ["change"]
    assert actions(client, key_id="key-client", subject_id=id_, tenant="default") == ["create"]
    assert actions(client, tenant="acme") == []
    assert actions(client, since="2124-01-01T00:00:00Z") == []
    assert actions(client, until="2024-01-01T00:00:00Z") == []
    first = client.get(f"{PATH}?limit=1&subject_kind=Subscription")
    following = first.headers["Link"].removeprefix("<").removesuffix('>; rel="next"')
    second = client.get(following)
    assert [entry["action"] for entry in first.get_json() + second.get_json()] == ["change", "create"]
    assert "Link" not in second.headers


@pytest.mark.parametrize(
    "query", ["after=x", "after=nan:1", "after=1:-1", "after=1:9223372036854775808", "since=2024", "limit=0", "key_id="]
)
def test_rubbish_in_the_query_is_refused(client: FlaskClient, query: str) -> None:
    assert client.get(f"{PATH}?{query}").status_code == 422


def test_nul_in_the_query_is_refused(client: FlaskClient) -> None:
    assert client.get(PATH, query_string={"key_id": "a\x00"}).status_code == 422


@pytest.mark.parametrize("seed", range(15))
def test_no_row_has_the_value_of_a_header(client: FlaskClient, database: Database, seed: int) -> None:
    chosen = random.Random(seed)  # noqa: S311  # a test that repeats
    letters = string.ascii_letters + string.digits + "+/=._-~ :;,"
    secrets: list[str] = []

    def headers() -> list[str]:
        values = ["s" + "".join(chosen.choices(letters, k=chosen.randint(8, 60))) + "t" for _ in range(3)]
        secrets.extend(values)
        return [f"X-{number}: {value}" for number, value in enumerate(values)]

    for key in ("", "k"):
        sent = {"Idempotency-Key": key} if key else {}
        made = client.post(SUBSCRIPTION, json=document(HEADERS, headers()), headers=sent)
        path = made.headers["Location"]
        assert client.put(path, json=document(HEADERS, headers())).status_code == 200
        assert client.delete(path).status_code == 204
    with database.transaction() as session:
        logged = [repr(vars(row)) for row in session.scalars(select(AuditLogRow))]
        logged += [repr(vars(row)) for row in session.scalars(select(IdempotencyKeyRow))]
    assert len(logged) == 7
    assert [secret for secret in secrets if any(secret in row for row in logged)] == []
