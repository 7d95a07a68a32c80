"""The authentication to an endpoint over HTTP: what is accepted, masked, kept, changed and refused.

Real: Flask, the routes, SQLite. Doubled: Kafka's offsets and the announcements, by the shipped fakes.
"""

import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.harness.subscriptions import document
from webhookd.flow.destination import Authentication, Basic, ClientAuthentication, ClientCredentials
from webhookd.store import subscriptions
from webhookd.store.database import Database

PATH = "/1/Subscription"
BASIC = {"kind": "basic", "username": "shop", "password": "s3cret-1"}
OAUTH2 = {
    "kind": "oauth2_client_credentials",
    "token_url": "https://login.example.com/token",
    "client_id": "shop",
    "client_secret": "s3cret-2",
}
FIELD = "destination.webhook.authentication"


def with_(authentication: object) -> dict[str, Any]:
    return document("destination.webhook.authentication", authentication)


def create(client: FlaskClient, authentication: object) -> str:
    answer = client.post(PATH, json=with_(authentication))
    assert answer.status_code == 201, answer.text
    return f"{PATH}/{answer.get_json()['id']}"


def shown(client: FlaskClient, path: str) -> object:
    return client.get(path).get_json()["destination"]["webhook"]["authentication"]


def stored(database: Database, path: str) -> Authentication | None:
    with database.transaction() as session:
        return subscriptions.opened(
            session, subscriptions.find(session, path.rpartition("/")[2])
        ).destination.authentication


def patch(client: FlaskClient, path: str, authentication: object) -> int:
    body = {"destination": {"webhook": {"authentication": authentication}}}
    answer = client.patch(path, data=json.dumps(body), content_type="application/merge-patch+json")
    return answer.status_code


def test_basic_is_stored_and_masked(client: FlaskClient, database: Database) -> None:
    path = create(client, BASIC)
    assert shown(client, path) == BASIC | {"password": "****"}
    assert stored(database, path) == Basic(username="shop", password="s3cret-1")


def test_client_credentials_are_stored_and_masked(client: FlaskClient, database: Database) -> None:
    more = {"scope": "a b", "audience": "https://api", "client_authentication": "client_secret_post"}
    path = create(client, OAUTH2 | more)
    assert shown(client, path) == OAUTH2 | more | {"client_secret": "****"}
    assert stored(database, path) == ClientCredentials(
        token_url="https://login.example.com/token",
        client_id="shop",
        client_secret="s3cret-2",
        scope="a b",
        audience="https://api",
        client_authentication=ClientAuthentication.POST,
    )


def test_client_credentials_have_defaults(client: FlaskClient) -> None:
    rest = {"client_secret": "****", "scope": "", "audience": "", "client_authentication": "client_secret_basic"}
    assert shown(client, create(client, OAUTH2)) == OAUTH2 | rest


def test_without_it_there_is_none(client: FlaskClient, database: Database) -> None:
    path = create(client, None)
    assert (shown(client, path), stored(database, path)) == (None, None)


@pytest.mark.parametrize("given", [BASIC, OAUTH2])
def test_put_of_what_is_shown_keeps_the_secret(client: FlaskClient, database: Database, given: object) -> None:
    path = create(client, given)
    before = stored(database, path)
    assert client.put(path, json=client.get(path).get_json()).status_code == 200
    assert stored(database, path) == before


def test_put_without_it_removes_it(client: FlaskClient, database: Database) -> None:
    path = create(client, BASIC)
    assert client.put(path, json=document()).status_code == 200
    assert stored(database, path) is None


def test_patch_changes_what_it_names(client: FlaskClient, database: Database) -> None:
    path = create(client, OAUTH2)
    assert patch(client, path, {"scope": "read"}) == 200
    assert patch(client, path, {"client_secret": "s3cret-3"}) == 200
    found = stored(database, path)
    assert isinstance(found, ClientCredentials)
    assert (found.client_secret, found.scope, found.client_id) == ("s3cret-3", "read", "shop")


def test_patch_with_null_removes_it(client: FlaskClient, database: Database) -> None:
    path = create(client, BASIC)
    assert patch(client, path, None) == 200
    assert stored(database, path) is None


def test_patch_to_another_kind_names_all_of_it(client: FlaskClient, database: Database) -> None:
    path = create(client, BASIC)
    assert patch(client, path, OAUTH2) == 422
    assert patch(client, path, OAUTH2 | {"username": None, "password": None}) == 200
    assert isinstance(stored(database, path), ClientCredentials)


def test_masked_secret_of_another_kind_is_not_kept(client: FlaskClient) -> None:
    path = create(client, BASIC)
    answer = client.put(path, json=with_(OAUTH2 | {"client_secret": "****"}))
    assert (answer.status_code, answer.get_json()["errors"][0]["field"]) == (422, f"{FIELD}.client_secret")


@pytest.mark.parametrize(
    ("given", "field", "reason"),
    [
        ({}, ".kind", "is missing"),
        ({"kind": "digest"}, ".kind", '"digest": write "basic" or "oauth2_client_credentials"'),
        ({"kind": "basic", "username": "a"}, ".password", "is missing: basic needs username and password"),
        ({"kind": OAUTH2["kind"]}, ".token_url", "needs token_url, client_id and client_secret"),
        (BASIC | {"scope": "a"}, ".scope", "is not a field of basic"),
        (OAUTH2 | {"username": "a"}, ".username", "is not a field of oauth2_client_credentials"),
        (BASIC | {"username": "a:b"}, ".username", "has a colon"),
        (BASIC | {"password": "s3cret\n"}, ".password", "has line breaks"),
        (BASIC | {"password": "****"}, ".password", "is masked, and there is no stored value to keep"),
        (BASIC | {"password": 7}, ".password", "is a number"),
        (BASIC | {"pasword": "s3cret"}, ".pasword", "write password"),
        (OAUTH2 | {"token_url": "login.example.com"}, ".token_url", "has no scheme"),
        (OAUTH2 | {"token_url": "https://a:s3cret@b/"}, ".token_url", "has a user or a password"),
        (OAUTH2 | {"client_secret": "s3cret\u00e4"}, ".client_secret", "not visible ASCII"),
        (OAUTH2 | {"scope": "a  b"}, ".scope", "is not a list of scopes"),
        (OAUTH2 | {"client_authentication": "private_key_jwt"}, ".client_authentication", "client_secret_post"),
        ("basic", "", "is a string"),
    ],
)
def test_mistakes_are_named_without_the_secret(client: FlaskClient, given: object, field: str, reason: str) -> None:
    answer = client.post(PATH, json=with_(given))
    found = {error["field"]: error["reason"] for error in answer.get_json()["errors"]}
    assert answer.status_code == 422
    assert reason in found[f"{FIELD}{field}"]
    assert "s3cret" not in answer.text


@pytest.mark.parametrize("name", ["Authorization", "authorization"])
def test_own_authorization_beside_it_is_refused(client: FlaskClient, name: str) -> None:
    body = with_(BASIC)
    body["destination"]["webhook"]["headers"] = [f"{name}: Bearer s3cret"]
    answer = client.post(PATH, json=body)
    (error,) = answer.get_json()["errors"]
    assert (answer.status_code, error["field"]) == (422, FIELD)


def test_audit_log_names_a_changed_secret_and_does_not_hold_it(client: FlaskClient) -> None:
    path = create(client, OAUTH2)
    patch(client, path, {"client_secret": "s3cret-3"})
    patch(client, path, {"client_id": "other"})
    answer = client.get("/1/AuditLog")
    changes = [entry["after"].get("changed_secrets") for entry in answer.get_json()]
    assert changes == [None, [f"{FIELD}.client_secret"], None]
    assert "s3cret" not in answer.text
