"""ETag, If-Match and If-None-Match: a change that a client has not seen is not overwritten.

Real: Flask, the routes, SQLite, and Postgres for requests at the same moment. Doubled: Kafka's offsets and the
announcements, by the shipped fakes. Oracle: RFC 9110, section 13.
"""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update

from api.ports import EXTENSION, Services
from api.resources.subscription import lifecycle
from api.resources.subscription.topic_access import check_allowed
from tests.harness.api_apps import new_app
from tests.harness.databases import new_database
from tests.harness.secret_keys import SECRET_KEYS
from tests.harness.subscriptions import document
from webhookd.flow.subscription import Subscription
from webhookd.settings import Settings
from webhookd.store import subscriptions
from webhookd.store.database import Database
from webhookd.store.tables import SubscriptionRow
from webhookd.testing.memory_kafka_admin import MemoryKafkaAdmin

PATH = "/1/Subscription"
METHODS = ["PUT", "PATCH", "DELETE"]


def create(client: FlaskClient) -> tuple[str, str]:
    """The path of a new subscription, and its ETag."""
    answer = client.post(PATH, json=document())
    return f"{PATH}/{answer.get_json()['id']}", answer.headers["ETag"]


def test_tag_is_the_same_until_a_change(client: FlaskClient) -> None:
    path, tag = create(client)
    assert client.get(path).headers["ETag"] == client.head(path).headers["ETag"] == tag
    put = client.put(path, json=document("labels", {"b": "1", "aa": "2"}), headers={"If-Match": tag})
    assert client.get(path).headers["ETag"] == put.headers["ETag"] != tag
    patched = client.patch(path, json={"active": "no"}, headers={"If-Match": put.headers["ETag"]})
    assert client.get(path).headers["ETag"] == patched.headers["ETag"] not in {tag, put.headers["ETag"]}


def test_tag_changes_with_a_masked_value(client: FlaskClient) -> None:
    path, tag = create(client)
    changed = client.put(path, json=document("destination.webhook.headers", ["X-Api-Key: other"]))
    assert changed.headers["ETag"] != tag


def test_deactivation_by_webhookd_changes_the_tag_and_a_new_policy_does_not(
    client: FlaskClient, database: Database
) -> None:
    path, tag = create(client)
    with database.transaction() as session:
        session.execute(update(SubscriptionRow).values(version=SubscriptionRow.version + 1))
    assert client.get(path).headers["ETag"] == tag
    before = client.get(path).get_json()
    with database.transaction() as session:
        stored = subscriptions.find(session, path.rpartition("/")[2])
        assert subscriptions.deactivate(session, stored, "gone")
    after = client.get(path)
    assert after.headers["ETag"] != tag
    assert after.get_json() == before | {"active": "no"}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("given", ['"other"', "W/{tag}", '"a", "b"', "", "abc", '""'])
def test_other_version_is_refused(client: FlaskClient, method: str, given: str) -> None:
    path, tag = create(client)
    answer = client.open(path, method=method, json=document(), headers={"If-Match": given.format(tag=tag)})
    assert (answer.status_code, answer.get_json()["code"]) == (412, "precondition_failed")
    assert client.get(path).headers["ETag"] == tag


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("given", ["{tag}", "*", '"a", {tag}', 'W/"a",{tag}'])
def test_same_version_is_changed(client: FlaskClient, method: str, given: str) -> None:
    path, tag = create(client)
    answer = client.open(path, method=method, json=document(), headers={"If-Match": given.format(tag=tag)})
    assert answer.status_code == (204 if method == "DELETE" else 200)


@pytest.mark.parametrize("given", ["{tag}", "W/{tag}", '"a", {tag}', "*"])
def test_version_that_the_client_has_is_not_sent_again(client: FlaskClient, given: str) -> None:
    path, tag = create(client)
    headers = {"If-None-Match": given.format(tag=tag)}
    answer = client.get(path, headers=headers)
    assert (answer.status_code, answer.data, answer.headers["ETag"]) == (304, b"", tag)
    assert client.put(path, json=document(), headers=headers).status_code == 412
    assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200
    assert client.get(path, headers={"If-Match": '"other"'}).status_code == 412


def test_what_is_gone_is_not_found_with_any_precondition(client: FlaskClient) -> None:
    path, tag = create(client)
    client.delete(path)
    for method in ("GET", *METHODS):
        assert client.open(path, method=method, json=document(), headers={"If-Match": tag}).status_code == 404


@pytest.mark.parametrize("settings", [Settings(redis_url="memory://", api_auth="none", api_require_if_match=True)])
def test_setting_demands_if_match_for_changes(client: FlaskClient) -> None:
    path, tag = create(client)
    for method in METHODS:
        refused = client.open(path, method=method, json=document())
        assert (refused.status_code, refused.get_json()["code"]) == (428, "precondition_required")
    assert client.get(path).headers["ETag"] == tag
    assert client.delete(path, headers={"If-Match": tag}).status_code == 204


def test_no_change_is_not_confirmed_over_a_change_of_the_same_moment(
    client: FlaskClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = create(client)

    def deactivated_meanwhile(services: Services, draft: Subscription, stored: Subscription | None) -> None:
        with database.transaction() as session:
            assert stored is not None
            assert subscriptions.deactivate(session, stored, "gone")
        check_allowed(services, draft, stored)

    monkeypatch.setattr(lifecycle, "check_allowed", deactivated_meanwhile)
    assert client.put(path, json=document()).status_code == 409
    monkeypatch.undo()
    assert client.put(path, json=document()).get_json()["active"] == "yes"


def test_damaged_row_has_no_version_and_is_repaired_with_any(client: FlaskClient, database: Database) -> None:
    path, tag = create(client)
    with database.transaction() as session:
        session.execute(update(SubscriptionRow).values(sources=[]))
    assert client.patch(path, json={"active": "no"}).get_json()["code"] == "unusable_configuration"
    assert client.put(path, json=document(), headers={"If-Match": tag}).status_code == 412
    assert client.put(path, json=document(), headers={"If-Match": "*"}).status_code == 200


class MeetingBrokers(MemoryKafkaAdmin):
    """Both requests have read the subscription before either of them writes."""

    def __init__(self) -> None:
        super().__init__({"orders": {0: 5}, "refunds": {0: 1}})
        self.meeting = threading.Barrier(2, timeout=20)
        self.asked = threading.Event()

    def end_offsets(self, topics: Sequence[str], timeout_s: float) -> dict[str, dict[int, int]]:
        if "refunds" in topics:
            self.asked.set()
            self.meeting.wait()
        return super().end_offsets(topics, timeout_s)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def meeting_app(request: pytest.FixtureRequest, tmp_path: Path, settings: Settings) -> Iterator[Flask]:
    """The application on each database, with brokers at which two requests meet."""
    with new_database(request.param, tmp_path, tables=True) as url:
        opened = Database(url, secret_keys=SECRET_KEYS)
        yield new_app(settings, opened, MeetingBrokers())
        opened.close()


def test_of_two_changes_of_one_version_exactly_one_wins(meeting_app: Flask) -> None:
    path, tag = create(meeting_app.test_client())
    topics = {"source": [{"topic": "orders"}, {"topic": "refunds"}]}

    def change(name: str, headers: dict[str, str]) -> tuple[int, str]:
        answer = meeting_app.test_client().patch(path, json={"name": name, **topics}, headers=headers)
        return answer.status_code, name

    with ThreadPoolExecutor(2) as pool:
        for headers, lost in (({"If-Match": tag}, 412), ({}, 409)):
            answers = [pool.submit(change, name, headers) for name in ("first", "second")]
            (won, name), (other, _) = sorted(answer.result(30) for answer in answers)
            assert (won, other) == (200, lost)
            assert meeting_app.test_client().get(path).get_json()["name"] == name
            meeting_app.test_client().put(path, json=document())


def test_a_change_does_not_overwrite_details_that_were_changed_meanwhile(meeting_app: Flask) -> None:
    path, tag = create(meeting_app.test_client())
    topics = {"source": [{"topic": "orders"}, {"topic": "refunds"}]}
    brokers: MeetingBrokers = meeting_app.extensions[EXTENSION].brokers
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lambda: meeting_app.test_client().patch(path, json=topics, headers={"If-Match": tag}))
        assert brokers.asked.wait(20)
        assert meeting_app.test_client().patch(path, json={"labels": {"a": "b"}}).status_code == 200
        brokers.meeting.wait()
        assert waiting.result(30).status_code == 412
    assert meeting_app.test_client().get(path).get_json()["labels"] == {"a": "b"}
