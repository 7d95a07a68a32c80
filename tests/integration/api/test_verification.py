"""The verification of endpoints over the API, and what the database keeps of it.

Real: Flask, the routes, SQLite. In memory: Kafka.
"""

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.harness.api_callers import As, Callers
from tests.harness.subscriptions import document
from webhookd.flow.destination import Destination
from webhookd.flow.subscription import Subscription
from webhookd.settings import Settings
from webhookd.store import endpoint_verifications, subscriptions
from webhookd.store.database import Database

PATH = "/1/Subscription"
URL = "https://example.com/hook"
KIND = "destination.webhook.verification.kind"


def body(kind: str = "echo", url: str = URL, *headers: str) -> dict[str, Any]:
    webhook = {"url": url, "headers": list(headers), "verification": {"kind": kind}}
    return document("destination.webhook", webhook)


def create(client: FlaskClient, kind: str = "echo") -> str:
    answer = client.post(PATH, json=body(kind))
    assert answer.status_code == 201, answer.text
    return str(answer.get_json()["id"])


def stored(database: Database, id_: str) -> Subscription:
    with database.transaction() as session:
        return subscriptions.find(session, id_)


def destination(database: Database, id_: str) -> Destination:
    return stored(database, id_).destination


def consents(database: Database, id_: str, granted: int | None = None) -> bool:
    """Store the consent to the stored version, as ingest does."""
    version = stored(database, id_).version
    with database.transaction() as session:
        return endpoint_verifications.set_verified(session, id_, version, granted)


def test_kind_is_stored_and_shown(client: FlaskClient, database: Database) -> None:
    id_ = create(client, "options")
    assert client.get(f"{PATH}/{id_}").get_json()["destination"]["webhook"]["verification"] == {"kind": "options"}
    assert destination(database, id_).unverified


def test_nobody_is_asked_by_default(client: FlaskClient, database: Database) -> None:
    answer = client.post(PATH, json=document()).get_json()
    assert answer["destination"]["webhook"]["verification"] == {"kind": "none"}
    assert not destination(database, answer["id"]).unverified


@pytest.mark.parametrize(
    ("verification", "field"),
    [
        ({"kind": "maybe"}, KIND),
        ({"kind": True}, KIND),
        ({"method": "echo"}, "destination.webhook.verification.method"),
        ("echo", "destination.webhook.verification"),
        (None, "destination.webhook.verification"),
    ],
)
def test_wrong_verification_is_refused(client: FlaskClient, verification: object, field: str) -> None:
    answer = client.post(PATH, json=document("destination.webhook.verification", verification))
    assert (answer.status_code, [error["field"] for error in answer.get_json()["errors"]]) == (422, [field])


def test_own_request_origin_is_refused(client: FlaskClient) -> None:
    refused = client.post(PATH, json=body("options", URL, "Origin: https://a.example", "webhook-request-origin: b"))
    assert (refused.status_code, refused.get_json()["errors"][0]["field"]) == (422, "destination.webhook.headers[1]")


def test_consent_is_another_version(client: FlaskClient, database: Database) -> None:
    id_ = create(client)
    before = client.get(f"{PATH}/{id_}").headers["ETag"]
    assert consents(database, id_, granted=60)
    found = stored(database, id_)
    assert (found.version, found.destination.unverified, found.destination.granted_per_minute) == (2, False, 60)
    assert client.get(f"{PATH}/{id_}").headers["ETag"] == before


def test_change_of_details_alone_is_no_other_version(client: FlaskClient, database: Database) -> None:
    id_ = create(client)
    consents(database, id_)
    client.patch(f"{PATH}/{id_}", json={"description": "for invoices"})
    assert (stored(database, id_).version, destination(database, id_).unverified) == (2, False)


def test_consent_to_an_older_version_counts_for_nothing(client: FlaskClient, database: Database) -> None:
    id_ = create(client)
    client.put(f"{PATH}/{id_}", json=body("echo", f"{URL}/2"))
    with database.transaction() as session:
        assert not endpoint_verifications.set_verified(session, id_, 1, None)
    assert destination(database, id_).unverified


@pytest.mark.parametrize(
    ("changed", "unverified"),
    [
        (body("echo", URL, "X-Api-Key: another"), False),
        (body("echo", f"{URL}?x=1"), True),
        (body("options"), True),
    ],
)
def test_another_url_or_kind_is_asked_again(
    client: FlaskClient, database: Database, changed: dict[str, Any], unverified: bool
) -> None:
    id_ = create(client)
    consents(database, id_)
    assert client.put(f"{PATH}/{id_}", json=changed).status_code == 200
    assert destination(database, id_).unverified is unverified


class Clock:
    """The clock of the API, which the test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_800_000_000.0
        monkeypatch.setattr("webhookd.clock.wall_clock", lambda: self.now)


def test_request_for_a_question_is_another_version(
    client: FlaskClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, id_ = Clock(monkeypatch), create(client)
    clock.now += 5.0
    answer = client.post(f"{PATH}/{id_}/Verification")
    assert (answer.status_code, answer.get_json()["verification"]) == (202, "echo")
    found = stored(database, id_)
    assert (found.version, found.history.revision, found.destination.unverified) == (2, 1, True)


@pytest.mark.parametrize(
    ("age_s", "status", "retry_after"),
    [(0.0, 429, "5"), (4.9, 429, "1"), (5.0, 202, None), (-1.0, 429, "5"), (-3600.0, 202, None)],
)
def test_question_needs_an_interval(
    client: FlaskClient,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    age_s: float,
    status: int,
    retry_after: str | None,
) -> None:
    clock, id_ = Clock(monkeypatch), create(client)
    clock.now += age_s
    answer = client.post(f"{PATH}/{id_}/Verification")
    assert (answer.status_code, answer.headers.get("Retry-After")) == (status, retry_after)
    assert stored(database, id_).version == (2 if status == 202 else 1)


def test_questions_on_request_are_apart(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, id_ = Clock(monkeypatch), create(client)
    statuses = []
    for pause_s in (5.0, 4.0, 1.0):
        clock.now += pause_s
        statuses.append(client.post(f"{PATH}/{id_}/Verification").status_code)
    assert statuses == [202, 429, 202]


def test_there_is_nothing_to_ask(client: FlaskClient, database: Database) -> None:
    consented, unasked = create(client), create(client, "none")
    consents(database, consented)
    inactive = client.post(PATH, json=body() | {"active": "no"}).get_json()["id"]
    answers = [client.post(f"{PATH}/{id_}/Verification") for id_ in (consented, unasked, inactive)]
    assert [answer.status_code for answer in answers] == [409, 409, 409]
    assert len({answer.get_json()["detail"] for answer in answers}) == 3


@pytest.fixture
def keyed_settings(settings: Settings) -> Settings:
    """The settings of an API with keys that requires a verification."""
    required = {"api_auth": "keys", "endpoint_verification": "required", "topics_without_policy": "open"}
    return settings.model_copy(update=required)


def test_required_verification_is_for_clients(asked: Callers) -> None:
    refused = asked.ask(As.CLIENT, "POST", PATH, body("none"))
    (error,) = refused.get_json()["errors"]
    assert (refused.status_code, error["field"]) == (422, KIND)
    assert "write options or echo" in error["reason"]
    assert asked.ask(As.CLIENT, "POST", PATH, body("echo")).status_code == 201
    assert asked.ask(As.ADMIN, "POST", PATH, body("none")).status_code == 201


def test_subscription_from_before_goes_on_until_its_url_changes(asked: Callers) -> None:
    made = asked.ask(As.ADMIN, "POST", PATH, body("none") | {"tenant": "acme"}).get_json()["id"]
    path = f"{PATH}/{made}"
    statuses = [
        asked.ask(As.CLIENT, "PUT", path, changed).status_code
        for changed in (body("none") | {"name": "another"}, body("none", f"{URL}/2"), body("echo"), body("none"))
    ]
    assert statuses == [200, 422, 200, 422]
