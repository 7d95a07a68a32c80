"""What a status says, from what the API and ingest have stored."""

from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update

from tests.harness.subscriptions import document
from webhookd.flow.alerting.mail import MailResult, RecipientResult
from webhookd.flow.dead_letter import DeadLetter
from webhookd.flow.offsets.position import Partition
from webhookd.flow.status.activity import Activity, Event
from webhookd.flow.status.endpoint_certificate import EndpointCertificate
from webhookd.flow.status.subscription_status import Health, SubscriptionStatus, TopicStatus
from webhookd.store import activity, dead_letters, mail_failures, subscription_statuses
from webhookd.store.database import Database
from webhookd.store.tables import SubscriptionRow


@pytest.fixture
def created(client: FlaskClient) -> dict[str, Any]:
    """A registered subscription."""
    answer: dict[str, Any] = client.post("/1/Subscription", json=document()).get_json()
    return answer


def status(client: FlaskClient, created: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = client.get(f"/1/Subscription/{created['id']}/Status").get_json()
    return answer


def test_a_new_subscription_is_healthy_and_active(client: FlaskClient, created: dict[str, Any]) -> None:
    shown = status(client, created)
    assert shown["timestamp"].endswith("Z")
    assert {name: shown[name] for name in ("id", "kind", "name", "active", "payload_url", "status", "reason")} == {
        "id": created["id"],
        "kind": "WebhookStatus",
        "name": "orders to the shop",
        "active": "yes",
        "payload_url": "https://example.com/hook",
        "status": "healthy",
        "reason": "",
    }
    assert [event["event"] for event in shown["recent_activity"]] == ["active"]


def test_switching_off_and_on_is_recorded_once_each(client: FlaskClient, created: dict[str, Any]) -> None:
    path = f"/1/Subscription/{created['id']}"
    for active in ("no", "no", "yes", "yes"):
        assert client.put(path, json=created | {"active": active}).status_code == 200
    events = [event["event"] for event in status(client, created)["recent_activity"]]
    assert events == ["active", "inactive", "active"]


def test_a_subscription_that_is_off_is_inactive(
    client: FlaskClient, created: dict[str, Any], database: Database
) -> None:
    client.put(f"/1/Subscription/{created['id']}", json=created | {"active": "no"})
    with database.transaction() as session:
        subscription_statuses.write(
            session, [SubscriptionStatus(subscription_id=created["id"], health=Health.UNHEALTHY, reason="x")]
        )
    shown = status(client, created)
    assert (shown["active"], shown["status"], shown["reason"]) == ("no", "inactive", "")


def test_a_status_is_shown_with_topics_and_counters(
    client: FlaskClient, created: dict[str, Any], database: Database
) -> None:
    stored = SubscriptionStatus(
        subscription_id=created["id"],
        health=Health.UNHEALTHY,
        reason="retries_exhausted",
        since=1_700_000_000.0,
        topics=(TopicStatus(topic="orders", partitions=4),),
        delivered=10,
        filtered=5,
        denied=4,
        filter_errors=1,
        last_filter_error="not a number",
    )
    with database.transaction() as session:
        subscription_statuses.write(session, [stored])
    shown = status(client, created)
    assert (shown["status"], shown["reason"], shown["since"]) == (
        "unhealthy",
        "retries_exhausted",
        "2023-11-14T22:13:20.000Z",
    )
    assert shown["topics"] == [{"topic": "orders", "partitions": 4}]
    assert shown["counters"] == {
        "delivered": 10,
        "filtered": 5,
        "denied": 4,
        "filter_errors": 1,
        "last_filter_error": "not a number",
        "dead_lettered": 0,
    }


def test_certificate_is_shown_while_the_subscription_has_its_endpoint(
    client: FlaskClient, created: dict[str, Any], database: Database
) -> None:
    assert status(client, created)["endpoint_certificate"] is None
    shown = EndpointCertificate(
        host="example.com", port=443, begins_at=1.0, expires_at=1_700_000_000.0, seen_at=1_699_000_000.5
    )
    stored = SubscriptionStatus(subscription_id=created["id"], health=Health.HEALTHY, endpoint_certificate=shown)
    with database.transaction() as session:
        subscription_statuses.write(session, [stored])
    assert status(client, created)["endpoint_certificate"] == {
        "host": "example.com",
        "port": 443,
        "state": "expired",
        "expires_at": "2023-11-14T22:13:20.000Z",
        "seen_at": "2023-11-03T08:26:40.500Z",
    }
    created["destination"]["webhook"]["url"] = "https://example.org/hook"
    assert client.put(f"/1/Subscription/{created['id']}", json=created).status_code == 200
    assert status(client, created)["endpoint_certificate"] is None


def test_calls_are_shown_newest_first(client: FlaskClient, created: dict[str, Any], database: Database) -> None:
    calls = [
        Activity(
            subscription_id=created["id"],
            at=4_000_000_000.0 + at,
            event=Event.API_CALL,
            calls=at,
            request="POST https://example.com/hook",
            request_headers=("X-Api-Key: ****",),
            response_code=200,
            response_body="ok",
            response_headers=("Server: nginx",),
        )
        for at in (1, 2)
    ]
    with database.transaction() as session:
        activity.append(session, calls)
    newest, older, _active = status(client, created)["recent_activity"]
    assert older["calls"] == 1
    assert newest == {
        "timestamp": "2096-10-02T07:06:42.000Z",
        "event": "api_call",
        "calls": 2,
        "request": "POST https://example.com/hook",
        "request_headers": ["X-Api-Key: ****"],
        "response_code": 200,
        "response_body": "ok",
        "response_headers": ["Server: nginx"],
        "error": "",
        "detail": "",
    }


def test_dead_letters_are_counted(client: FlaskClient, created: dict[str, Any], database: Database) -> None:
    dead_letter = DeadLetter(
        subscription_id=created["id"],
        partition=Partition("orders", 0),
        offset=1,
        timestamp_ms=0,
        key=None,
        value=b"{",
        headers=(),
        cause="not_json",
    )
    with database.transaction() as session:
        dead_letters.append(session, [dead_letter])
    assert status(client, created)["counters"]["dead_lettered"] == 1


def test_a_damaged_row_is_unhealthy_with_the_reason(
    client: FlaskClient, created: dict[str, Any], database: Database
) -> None:
    with database.transaction() as session:
        session.execute(update(SubscriptionRow).values(max_batch_size=0))
    shown = status(client, created)
    assert (shown["status"], shown["reason"]) == ("unhealthy", "unusable_configuration")


def test_addresses_that_alerts_do_not_get_to_are_named(client: FlaskClient, database: Database) -> None:
    emails = ["a@example.com", "b@example.com", "c@example.com"]
    created = client.post("/1/Subscription", json=document("configuration.alerting.alert_emails", emails)).get_json()
    settled = [
        RecipientResult(recipient="a@example.com", result=MailResult.DELIVERED),
        RecipientResult(recipient="b@example.com", result=MailResult.LATER, detail="451 busy"),
        RecipientResult(recipient="c@example.com", result=MailResult.REFUSED, detail="550 nobody of that name"),
    ]
    with database.transaction() as session:
        for at, item in enumerate(settled):
            mail_failures.note(session, created["id"], [item], float(at))
    time = "1970-01-01T00:00:0{}.000Z".format
    assert status(client, created)["alerts"] == {
        "undelivered": 1,
        "last_error": "550 nobody of that name",
        "recipients": [
            {
                "address": "b@example.com",
                "state": "later",
                "detail": "451 busy",
                "since": time(1),
                "timestamp": time(1),
            },
            {
                "address": "c@example.com",
                "state": "refused",
                "detail": "550 nobody of that name",
                "since": time(2),
                "timestamp": time(2),
            },
        ],
    }
    created["configuration"]["alerting"]["alert_emails"] = ["a@example.com", "d@example.com"]
    client.put(f"/1/Subscription/{created['id']}", json=created)
    assert status(client, created)["alerts"] == {"undelivered": 0, "last_error": "", "recipients": []}
    with database.transaction() as session:
        assert mail_failures.count(session, 1e6) == 0


def test_deleted_subscription_takes_its_addresses_with_it(
    client: FlaskClient, created: dict[str, Any], database: Database
) -> None:
    with database.transaction() as session:
        refused = RecipientResult(recipient="a@example.com", result=MailResult.REFUSED)
        mail_failures.note(session, created["id"], [refused], 1.0)
    client.delete(f"/1/Subscription/{created['id']}")
    with database.transaction() as session:
        assert mail_failures.count(session, 1e6) == 0
