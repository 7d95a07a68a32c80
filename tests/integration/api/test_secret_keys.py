"""The API without a key refuses new secrets, and with one it stores none in clear.

Oracle: the answers of the application, and the stored rows.
"""

from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update

from tests.harness.api_apps import new_app
from tests.harness.openapi_answers import every_answer_documented
from tests.harness.subscriptions import document
from webhookd.settings import Settings
from webhookd.store.database import Database
from webhookd.store.tables import SubscriptionRow
from webhookd.testing.memory_kafka_admin import MemoryKafkaAdmin

PATH = "/1/Subscription"
HEADERS = "destination.webhook.headers"
SIGNING = "destination.webhook.signing"


@pytest.fixture
def keyless(settings: Settings, migrated_url: str, database: Database, kafka: MemoryKafkaAdmin) -> Iterator[Flask]:
    """The application on the same database, without a key."""
    assert database is not None  # it is empty
    opened = Database(migrated_url)
    made = new_app(settings, opened, kafka)
    with every_answer_documented(made):
        yield made
    opened.close()


def test_secret_is_not_stored_in_clear(client: FlaskClient, database: Database) -> None:
    assert client.post(PATH, json=document(HEADERS, ["X-Api-Key: canary"])).status_code == 201
    with database.transaction() as session:
        (row,) = session.execute(select(SubscriptionRow.headers, SubscriptionRow.secrets)).all()
    assert row.headers == [["X-Api-Key", ""]]
    assert "canary" not in row.secrets


def test_without_a_key_a_secret_is_refused_before_kafka_is_asked(keyless: Flask, kafka: MemoryKafkaAdmin) -> None:
    client = keyless.test_client()
    answer = client.post(PATH, json=document())
    assert (answer.status_code, answer.get_json()["code"]) == (503, "secret_keys_missing")
    assert "WEBHOOKD_SECRET_KEYS" in answer.get_json()["detail"]
    assert kafka.committed == {}
    assert client.get(PATH).get_json() == []


def test_without_a_key_all_else_works(client: FlaskClient, keyless: Flask) -> None:
    without = keyless.test_client()
    unsigned = document(SIGNING, {"kind": "none"})
    unsigned["destination"]["webhook"]["headers"] = []
    assert without.post(PATH, json=unsigned).status_code == 201
    created = client.post(PATH, json=document()).get_json()
    path = f"{PATH}/{created['id']}"
    shown = without.get(path)
    assert shown.get_json()["destination"]["webhook"]["headers"] == ["X-Api-Key: ****"]
    off = without.patch(path, json={"active": "no"})
    assert (off.status_code, off.get_json()["active"]) == (200, "no")
    assert without.put(path, json=off.get_json()).status_code == 200
    for change in ({"headers": ["X: new"]}, {"signing": {"kind": "ed25519"}}):
        refused = without.patch(path, json={"destination": {"webhook": change}})
        assert (refused.status_code, refused.get_json()["code"]) == (503, "secret_keys_missing")


def test_without_a_key_a_new_subscription_has_no_signing_secret(keyless: Flask, kafka: MemoryKafkaAdmin) -> None:
    answer = keyless.test_client().post(PATH, json=document(HEADERS, []))
    assert (answer.status_code, answer.get_json()["code"]) == (503, "secret_keys_missing")
    assert kafka.committed == {}


def test_without_a_key_a_signing_secret_is_not_shown_and_not_rotated(client: FlaskClient, keyless: Flask) -> None:
    created = client.post(PATH, json=document(SIGNING, {"kind": "ed25519"})).get_json()
    path, without = f"{PATH}/{created['id']}", keyless.test_client()
    shown = without.get(path).get_json()["destination"]["webhook"]["signing"]
    assert shown == {"kind": "ed25519", "secret": "****", "public_key": shown["public_key"]}
    before = client.get(f"{path}/SigningSecret").get_json()
    assert before["public_key"] == shown["public_key"]
    answers = [without.get(f"{path}/SigningSecret"), without.post(f"{path}/SigningSecret/Rotate", json={})]
    assert [(one.status_code, one.get_json()["code"]) for one in answers] == [(409, "secrets_unreadable")] * 2
    assert client.get(f"{path}/SigningSecret").get_json() == before
    actions = [entry["action"] for entry in client.get("/1/AuditLog").get_json()]
    assert actions == ["read", "read", "create"]  # one for each time that it was shown


def test_secret_that_is_sent_again_in_clear_is_no_change(client: FlaskClient, database: Database) -> None:
    created = client.post(PATH, json=document()).get_json()
    before = stored(database)
    assert client.put(f"{PATH}/{created['id']}", json=document("description", "new")).status_code == 200
    assert stored(database) == before  # a change of the details alone keeps the version
    assert client.put(f"{PATH}/{created['id']}", json=document(HEADERS, ["X-Api-Key: other"])).status_code == 200
    assert stored(database)[0] == 2


def test_change_of_nothing_stores_nothing(client: FlaskClient, database: Database) -> None:
    given = document(HEADERS, ["X-Api-Key: same", "X-Other: same"])
    given["destination"]["webhook"]["authentication"] = {"kind": "basic", "username": "shop", "password": "same"}
    created = client.post(PATH, json=given)
    path, before = f"{PATH}/{created.get_json()['id']}", stored(database)
    reordered = document(HEADERS, ["X-Other: same", "X-Api-Key: same"])["destination"]["webhook"]["headers"]
    shown = client.get(path).get_json()
    for answer in (
        client.put(path, json=given),
        client.put(path, json=shown),
        client.patch(path, json={}),
        client.patch(path, json={"destination": {"webhook": {"headers": given["destination"]["webhook"]["headers"]}}}),
    ):
        assert (answer.status_code, answer.headers["ETag"]) == (200, created.headers["ETag"])
        assert {**answer.get_json(), "warnings": []} == shown | {"warnings": []}
    assert stored(database) == before
    assert [entry["action"] for entry in client.get("/1/AuditLog").get_json()] == ["create"]
    assert client.patch(path, json={"destination": {"webhook": {"headers": reordered}}}).status_code == 200
    (latest, _) = client.get("/1/AuditLog").get_json()
    assert "changed_header_values" not in latest["after"], "another order is a change, and no value is another one"


def test_unencrypted_secret_that_is_sent_again_is_no_change(client: FlaskClient, database: Database) -> None:
    created = client.post(PATH, json=document(SIGNING, {"kind": "none"})).get_json()
    path = f"{PATH}/{created['id']}"
    with database.transaction() as session:
        session.execute(update(SubscriptionRow).values(headers=[["X-Api-Key", "secret"]], secrets=""))
    tag = client.get(path).headers["ETag"]
    changed = client.patch(path, json={"destination": {"webhook": {"headers": ["X-Api-Key: secret"]}}})
    assert (changed.status_code, changed.headers["ETag"], stored(database)) == (200, tag, (1, ""))
    assert client.patch(path, json={"name": "another"}).status_code == 200
    with database.transaction() as session:
        (row,) = session.execute(select(SubscriptionRow.headers, SubscriptionRow.secrets)).all()
    assert (row.headers, "/headers/0" in row.secrets) == ([["X-Api-Key", ""]], True), "a change encrypts it"


def stored(database: Database) -> tuple[int, str]:
    with database.transaction() as session:
        (row,) = session.execute(select(SubscriptionRow.version, SubscriptionRow.secrets)).all()
    return row.version, row.secrets


def test_audit_log_names_only_headers_whose_values_differ(client: FlaskClient) -> None:
    headers = ["X-Api-Key: first", "X-Other: same"]
    created = client.post(PATH, json=document(HEADERS, headers)).get_json()
    changed = document(HEADERS, ["X-Other: same", "X-Api-Key: second"])
    assert client.put(f"{PATH}/{created['id']}", json=changed).status_code == 200
    (latest, *_) = client.get("/1/AuditLog").get_json()
    assert latest["after"]["changed_header_values"] == ["X-Api-Key"]
