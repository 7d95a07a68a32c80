"""PATCH of subscriptions over HTTP, and the fields for their owner's people and systems.

Real: Flask, the routes, SQLite. Doubled: Kafka's offsets and the announcements, by the shipped fakes.
"""

from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.harness.subscriptions import OTHER_ID, document
from webhookd.store import subscriptions
from webhookd.store.database import Database
from webhookd.testing.memory_kafka_admin import MemoryKafkaAdmin

PATH = "/1/Subscription"
DETAILS = {"description": "For the shop.\nAsk Ann.", "labels": {"team": "billing"}, "external_id": "shop-1"}


def create(client: FlaskClient, **changes: object) -> str:
    answer = client.post(PATH, json=document() | changes)
    assert answer.status_code == 201, answer.text
    return f"{PATH}/{answer.get_json()['id']}"


def patch(client: FlaskClient, path: str, changes: object, **options: Any) -> TestResponse:  # noqa: ANN401  # what the client takes
    options.setdefault("content_type", "application/merge-patch+json")
    return client.patch(path, data=client.application.json.dumps(changes), **options)


def mistakes(answer: TestResponse) -> dict[str, str]:
    assert answer.status_code in {409, 422}, answer.text
    return {error["field"]: error["reason"] for error in answer.get_json()["errors"]}


def test_patch_changes_what_it_names_and_is_answered_whole(client: FlaskClient) -> None:
    path = create(client, **DETAILS)
    before = client.get(path).get_json()
    answer = patch(client, path, {"name": "renamed", "labels": {"stage": "live"}})
    after = client.get(path).get_json()
    assert answer.status_code == 200
    assert answer.get_json() == after | {"warnings": []}
    changed = {"name": "renamed", "labels": {"stage": "live", "team": "billing"}, "updated_at": after["updated_at"]}
    assert after == before | changed


def test_masked_values_stay(client: FlaskClient, database: Database) -> None:
    path = create(client)
    assert patch(client, path, {"destination": {"webhook": {"url": "https://example.com/new"}}}).status_code == 200
    with database.transaction() as session:
        stored = subscriptions.opened(session, subscriptions.find(session, path.rpartition("/")[2]))
    assert stored.destination.url == "https://example.com/new"
    assert stored.destination.headers == (("X-Api-Key", "secret"),)


def test_patch_of_active_needs_no_kafka(client: FlaskClient, kafka: MemoryKafkaAdmin) -> None:
    path = create(client)
    kafka.down = True
    answer = patch(client, path, {"active": "no"})
    assert (answer.status_code, answer.get_json()["active"], answer.get_json()["warnings"]) == (200, "no", [])


def test_patch_of_topics_reads_new_ones_from_their_end(client: FlaskClient, kafka: MemoryKafkaAdmin) -> None:
    path = create(client)
    kafka.ends["refunds"] = {0: 9}
    assert patch(client, path, {"source": [{"topic": "orders"}, {"topic": "refunds"}]}).status_code == 200
    assert kafka.committed[f"webhooks-{path.rpartition('/')[2]}"] == {"orders": {0: 5, 1: 7}, "refunds": {0: 9}}


def test_patch_is_also_accepted_as_json_and_as_nothing_else(client: FlaskClient) -> None:
    path = create(client)
    assert patch(client, path, {"name": "b"}, content_type="application/json").status_code == 200
    refused = patch(client, path, {"name": "c"}, content_type="application/json-patch+json")
    assert (refused.status_code, refused.headers["Accept-Patch"]) == (415, "application/merge-patch+json")
    assert "Content-Type: application/merge-patch+json" in refused.get_json()["detail"]
    assert client.post(PATH, data=b"{}", content_type="application/merge-patch+json").status_code == 415


def test_patch_is_parsed_as_strictly_as_other_bodies(client: FlaskClient) -> None:
    path = create(client)
    for body, status in ((b'{"name": "a", "name": "b"}', 400), (b'{"name": "\\u0000"}', 422), (b"[]", 422)):
        answer = client.patch(path, data=body, content_type="application/merge-patch+json")
        assert answer.status_code == status, body
    assert client.get(path).get_json()["name"] == "orders to the shop"


def test_patch_of_another_id_is_refused(client: FlaskClient) -> None:
    assert mistakes(patch(client, create(client), {"id": OTHER_ID})) == {"id": "is not the id in the path"}


def test_details_are_shown_and_replaced(client: FlaskClient) -> None:
    path = create(client, **DETAILS)
    shown = client.get(path).get_json()
    assert {name: shown[name] for name in DETAILS} == DETAILS
    [listed] = client.get(PATH).get_json()
    assert {name: listed[name] for name in shown} == shown
    replaced = client.put(path, json=document()).get_json()
    assert [replaced[name] for name in DETAILS] == ["", {}, None]


def test_times_are_those_of_the_client_s_changes(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_800_000_000.25
    monkeypatch.setattr("webhookd.clock.wall_clock", lambda: now)
    path = create(client)
    now += 60
    sent_back = client.get(path).get_json() | {"created_at": "2000-01-01T00:00:00Z", "name": "another"}
    changed = client.put(path, json=sent_back).get_json()
    assert (changed["created_at"], changed["updated_at"]) == ("2027-01-15T08:00:00.250Z", "2027-01-15T08:01:00.250Z")


def test_change_of_details_alone_leaves_deliveries_as_they_are(client: FlaskClient, database: Database) -> None:
    path = create(client)
    id_ = path.rpartition("/")[2]
    expected = [({"description": "a"}, 1), ({"labels": {"a": "b"}, "name": "b"}, 2), ({"external_id": "c"}, 2)]
    for revision, (changes, version) in enumerate(expected, 2):
        tag = client.get(path).headers["ETag"]
        assert patch(client, path, changes).headers["ETag"] != tag
        with database.transaction() as session:
            stored = subscriptions.find(session, id_)
        assert (stored.version, stored.history.revision) == (version, revision)


def test_external_id_is_unique_and_taken_ones_leave_nothing_in_kafka(
    client: FlaskClient, kafka: MemoryKafkaAdmin
) -> None:
    first, second = create(client, external_id="shop-1"), create(client)
    taken = {"external_id": "another subscription has this external id"}
    groups = set(kafka.committed)
    posted = client.post(PATH, json=document() | {"external_id": "shop-1"})
    assert (posted.status_code, posted.get_json()["code"], mistakes(posted)) == (409, "already_exists", taken)
    assert mistakes(patch(client, second, {"external_id": "shop-1"})) == taken
    assert set(kafka.committed) == groups
    assert patch(client, first, {"external_id": None}).status_code == 200
    assert patch(client, second, {"external_id": "shop-1"}).status_code == 200


@pytest.mark.parametrize(
    ("field", "value", "path", "reason"),
    [
        ("description", "x" * 1001, "description", "has 1001 characters: write at most 1000 characters"),
        ("description", None, "description", "is null: write a string, or leave it out"),
        ("external_id", " ", "external_id", "is blank"),
        ("external_id", 7, "external_id", "is a number: write your own id of the subscription"),
        ("labels", ["a"], "labels", 'is a list: write an object of strings, such as {"team": "billing"}'),
        ("labels", {"team": 1}, "labels.team", "is a number: write a string"),
        ("labels", {"team": None}, "labels.team", "is null: write a string"),
        ("labels", {"a": "b\nc"}, "labels.a", "has line breaks or control characters"),
        ("labels", {"a": "x" * 256}, "labels.a", "has 256 characters: write at most 255 characters"),
        ("labels", {str(one): "" for one in range(33)}, "labels", "has 33 labels: write at most 32 labels"),
    ],
)
def test_wrong_details_are_named(client: FlaskClient, field: str, value: object, path: str, reason: str) -> None:
    assert mistakes(client.post(PATH, json=document(field, value))) == {path: reason}


@pytest.mark.parametrize("name", ["", "-a", "a-", "a b", "é", "a" * 64])
def test_wrong_names_of_labels_are_refused(client: FlaskClient, name: str) -> None:
    [reason] = mistakes(client.post(PATH, json=document("labels", {name: "x"}))).values()
    assert reason.startswith("is not a label's name: write 1 to 63 of a-z")


def test_names_of_labels_may_be_those_of_kubernetes(client: FlaskClient) -> None:
    names = {"a": "", "app.kubernetes.io/name": "shop", "A" * 63: "x" * 255}
    assert client.get(create(client, labels=names)).get_json()["labels"] == names
