"""Signing secrets over HTTP: made, given, kept, shown and rotated.

Real: Flask, the routes, SQLite. Doubled: Kafka's offsets and the announcements, by the shipped fakes; the clock, which
the test moves. `keyed_app` asks for API keys.
"""

import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.harness.api_callers import TENANT, As, Callers
from tests.harness.subscriptions import ID, SECRET, document, signed_destination, subscription
from webhookd.flow.attempt.signature import OVERLAP_MOST_S, SigningKind, new_secret, public_key
from webhookd.flow.destination import SigningSecret
from webhookd.store import subscriptions
from webhookd.store.database import Database

PATH = "/1/Subscription"
SEED = new_secret(SigningKind.ED25519, bytes(range(32)))
MASKED = {"kind": "hmac_sha256", "secret": "****"}
UNKNOWN = "00000000-0000-4000-8000-000000000000"
PLACE = "destination.webhook.signing"


def create(client: FlaskClient, signing: object = None) -> str:
    answer = client.post(PATH, json=document() if signing is None else document(PLACE, signing))
    assert answer.status_code == 201, answer.text
    return f"{PATH}/{answer.get_json()['id']}"


def secret_of(client: FlaskClient, path: str) -> str:
    return str(client.get(f"{path}/SigningSecret").get_json()["secret"])


def shown(answer: TestResponse) -> object:
    assert answer.status_code in {200, 201}, answer.text
    return answer.get_json()["destination"]["webhook"]["signing"]


def rotate(client: FlaskClient, path: str, **body: object) -> TestResponse:
    return client.post(f"{path}/SigningSecret/Rotate", json=body)


def mistakes(answer: TestResponse) -> dict[str, str]:
    assert answer.status_code == 422, answer.text
    return {error["field"]: error["reason"] for error in answer.get_json()["errors"]}


def stored_signing(database: Database, path: str) -> tuple[SigningSecret, ...]:
    with database.transaction() as session:
        return subscriptions.find(session, path.rpartition("/")[2]).destination.signing


def test_new_subscription_gets_a_secret_of_its_own(client: FlaskClient) -> None:
    first, second = create(client), create(client, {})
    assert shown(client.get(first)) == shown(client.get(second)) == MASKED
    answer = client.get(f"{first}/SigningSecret")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.get_json() == {"kind": "hmac_sha256", "secret": secret_of(client, first), "previous": []}
    assert secret_of(client, first) != secret_of(client, second)


def test_given_secret_is_kept_and_masked(client: FlaskClient) -> None:
    path = create(client, {"secret": SECRET})
    assert (shown(client.get(path)), secret_of(client, path)) == (MASKED, SECRET)


def test_ed25519_shows_its_public_key_to_all_readers(client: FlaskClient) -> None:
    path = create(client, {"kind": "ed25519", "secret": SEED})
    assert shown(client.get(path)) == {"kind": "ed25519", "secret": "****", "public_key": public_key(SEED)}
    expected: dict[str, object] = {
        "kind": "ed25519",
        "secret": SEED,
        "public_key": public_key(SEED),
        "previous": [],
    }
    assert client.get(f"{path}/SigningSecret").get_json() == expected


def test_requests_of_a_subscription_may_stay_unsigned(client: FlaskClient) -> None:
    path = create(client, {"kind": "none"})
    assert shown(client.get(path)) == {"kind": "none"}
    assert client.get(f"{path}/SigningSecret").get_json() == {"kind": "none", "previous": []}
    refused = rotate(client, path)
    assert (refused.status_code, refused.get_json()["code"]) == (409, "conflict")


def test_put_that_does_not_know_the_field_keeps_the_secret(client: FlaskClient) -> None:
    path = create(client)
    secret = secret_of(client, path)
    assert shown(client.put(path, json=document())) == MASKED
    assert shown(client.put(path, json=client.get(path).get_json())) == MASKED
    assert shown(client.put(path, json=document(PLACE, {}))) == MASKED
    assert secret_of(client, path) == secret


def test_subscription_without_signing_stays_without(client: FlaskClient, database: Database) -> None:
    """As those are that an older version of webhookd has registered."""
    with database.transaction() as session:
        subscriptions.insert(session, subscription(sources=subscription().sources[:1]))
    path = f"{PATH}/{ID}"
    assert shown(client.put(path, json=document())) == {"kind": "none"}
    assert shown(client.put(path, json=client.get(path).get_json())) == {"kind": "none"}
    assert shown(client.patch(path, json={"destination": {"webhook": {"url": "https://a.example"}}})) == {
        "kind": "none"
    }
    assert shown(client.patch(path, json={"destination": {"webhook": {"signing": {"kind": "hmac_sha256"}}}})) == MASKED


def test_patch_changes_the_kind_and_makes_its_secret(client: FlaskClient) -> None:
    path = create(client)
    changed = client.patch(path, json={"destination": {"webhook": {"signing": {"kind": "ed25519"}}}})
    assert secret_of(client, path).startswith("whsk_")
    assert shown(changed) == {
        "kind": "ed25519",
        "secret": "****",
        "public_key": public_key(secret_of(client, path)),
    }
    assert shown(client.patch(path, json={"destination": {"webhook": {"signing": None}}})) == shown(changed)
    ended = client.patch(path, json={"destination": {"webhook": {"signing": {"kind": "none"}}}})
    assert shown(ended) == {"kind": "none"}


@pytest.mark.parametrize(
    ("signing", "field", "reason"),
    [
        ({"secret": "****"}, ".secret", "is masked, and there is no stored value to keep"),
        ({"secret": "whsec_c2hvcnQ="}, ".secret", "has 5 bytes: write whsec_ and the base64 of 24 to 64 bytes"),
        ({"secret": "password"}, ".secret", "begins with neither whsec_ (HMAC-SHA256) nor whsk_ (Ed25519)"),
        ({"secret": SEED}, ".secret", "is a secret of ed25519, and kind is hmac_sha256: change one of them"),
        ({"kind": "none", "secret": SECRET}, ".secret", "is given, and kind is none: leave one of them out"),
        ({"kind": "ed2519"}, ".kind", 'is "ed2519": write "ed25519"'),
    ],
)
def test_wrong_signing_is_refused_with_the_reason(
    client: FlaskClient, signing: dict[str, Any], field: str, reason: str
) -> None:
    answer = client.post(PATH, json=document(PLACE, signing))
    assert mistakes(answer) == {f"{PLACE}{field}": reason}


def test_both_secrets_sign_after_a_rotation(
    client: FlaskClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_800_000_000.0
    monkeypatch.setattr("webhookd.clock.wall_clock", lambda: now)
    path = create(client)
    old, tag = secret_of(client, path), client.get(path).headers["ETag"]
    answer = rotate(client, path)
    new, previous = answer.get_json()["secret"], [{"kind": "hmac_sha256", "expires_at": "2027-01-16T08:00:00.000Z"}]
    assert answer.get_json() == {"kind": "hmac_sha256", "secret": new, "previous": previous}
    assert client.get(f"{path}/SigningSecret").get_json() == answer.get_json()
    assert client.get(path).headers["ETag"] != tag
    assert [(one.secret, one.expires_at) for one in stored_signing(database, path)] == [(new, None), (old, now + 86400)]
    assert shown(client.put(path, json=document())) == MASKED
    assert len(stored_signing(database, path)) == 2
    now += 86400
    assert client.get(f"{path}/SigningSecret").get_json()["previous"] == []


def test_rotation_to_another_kind_or_a_given_secret(client: FlaskClient) -> None:
    path = create(client, {"secret": SECRET})
    assert rotate(client, path, kind="ed25519").get_json()["secret"].startswith("whsk_")
    assert rotate(client, path, secret=SEED, overlap_seconds=60).get_json()["secret"] == SEED
    assert rotate(client, path, overlap_seconds=0).get_json()["previous"] == []
    wrong = {"overlap_seconds": OVERLAP_MOST_S + 1, "kind": "none"}
    assert mistakes(rotate(client, path, **wrong)).keys() == wrong.keys()
    assert mistakes(rotate(client, path, kind="hmac_sha256", secret=SEED)).keys() == {"secret"}
    assert rotate(client, path, secret=SECRET).status_code == 200
    assert rotate(client, path, secret=SECRET).status_code == 409


def test_rotation_is_made_once_for_an_idempotency_key(client: FlaskClient, database: Database) -> None:
    path = create(client)
    headers = {"Idempotency-Key": "a"}
    first, again = (client.post(f"{path}/SigningSecret/Rotate", json={}, headers=headers) for _ in range(2))
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.get_json() == {name: value for name, value in first.get_json().items() if name != "secret"}
    assert secret_of(client, path) == first.get_json()["secret"]
    assert first.get_json()["secret"] not in everything(database, but="subscriptions")


def test_secret_is_only_where_it_belongs(client: FlaskClient, database: Database) -> None:
    """Not in the audit log, and not among the answers that are kept for repetitions."""
    created = client.post(PATH, json=document(PLACE, {"secret": SECRET}), headers={"Idempotency-Key": "b"})
    path = f"{PATH}/{created.get_json()['id']}"
    client.put(path, json=document(PLACE, {"secret": new_secret(SigningKind.HMAC_SHA256, b"n" * 32)}))
    client.patch(path, json={"destination": {"webhook": {"signing": {"secret": SECRET}}}})
    assert secret_of(client, path) == SECRET
    rotate(client, path)
    assert secret_of(client, path) not in everything(database, but="subscriptions")
    assert SECRET.removeprefix("whsec_") not in everything(database, but="subscriptions")


def everything(database: Database, *, but: str) -> str:
    """The contents of every table but one, as text."""
    with database.transaction() as session:
        connection = session.connection().connection
        cursor = connection.cursor()
        tables = [name for (name,) in cursor.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()]
        rows = [cursor.execute(f"SELECT * FROM {name}").fetchall() for name in tables if name != but]  # noqa: S608 - names of tables
    return "".join(
        value.decode() if isinstance(value, bytes) else str(value) for table in rows for row in table for value in row
    )


def test_audit_log_says_who_read_and_who_rotated(client: FlaskClient) -> None:
    path = create(client, {"kind": "ed25519", "secret": SEED})
    client.get(f"{path}/SigningSecret")
    rotate(client, path, kind="hmac_sha256")
    client.put(path, json=document(PLACE, {"secret": SECRET}))
    entries = client.get(f"/1/AuditLog?subject_id={path.rpartition('/')[2]}").get_json()
    changed, rotated, read, _created = entries
    assert [(one["subject_kind"], one["action"]) for one in (changed, rotated, read)] == [
        ("Subscription", "change"),
        ("SigningSecret", "rotate"),
        ("SigningSecret", "read"),
    ]
    assert changed["after"]["changed_secrets"] == [f"{PLACE}.secret"]
    assert rotated["before"] == {"kind": "ed25519", "public_key": public_key(SEED), "previous": []}
    assert [one["public_key"] for one in rotated["after"]["previous"]] == [public_key(SEED)]
    assert "whs" not in json.dumps(entries).replace("whpk", "")


def test_secret_is_for_those_who_may_change_the_subscription(asked: Callers, database: Database) -> None:
    with database.transaction() as session:
        subscriptions.insert(session, subscription(tenant=TENANT, destination=signed_destination()))
    path = f"{PATH}/{ID}/SigningSecret"
    statuses = {who: asked.ask(who, "GET", path).status_code for who in (As.CLIENT, As.VIEWER, As.OTHER, As.ADMIN)}
    assert statuses == {As.CLIENT: 200, As.VIEWER: 403, As.OTHER: 404, As.ADMIN: 200}
    assert SECRET not in asked.ask(As.VIEWER, "GET", f"{PATH}/{ID}").text


def test_rotation_honours_preconditions(client: FlaskClient) -> None:
    path = create(client)
    stale = client.get(path).headers["ETag"]
    rotated = client.post(f"{path}/SigningSecret/Rotate", json={}, headers={"If-Match": stale})
    again = client.post(f"{path}/SigningSecret/Rotate", json={}, headers={"If-Match": stale})
    assert (rotated.status_code, again.status_code) == (200, 412)
    assert rotate(client, f"{PATH}/{UNKNOWN}").status_code == 404
