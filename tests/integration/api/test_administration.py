"""The switch that takes webhookd offline, over HTTP. Real: Flask, the routes, SQLite."""

import queue
import threading
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update

from api.application import create_app
from tests.harness.subscriptions import document
from webhookd.edges.change_notifications import ChangeNotifier, ChangeSubscriber
from webhookd.edges.redis_url import parse
from webhookd.flow.control.administration import Availability
from webhookd.flow.control.change_notification import AdministrationChanged, ChangeNotification
from webhookd.flow.status.subscription_status import Health, SubscriptionStatus, TopicStatus
from webhookd.settings import Settings
from webhookd.store import subscription_statuses
from webhookd.store.database import Database
from webhookd.store.tables import SubscriptionRow
from webhookd.testing.memory_kafka_admin import MemoryKafkaAdmin

PATH = "/1/EventNotificationAdmin"
SUBSCRIPTION = "/1/Subscription"
WAIT_S = 5.0
OFFLINE = {"status": "offline", "offline_message": "moving house"}
ONLINE = {"status": "online"}


def create(client: FlaskClient, active: str = "yes") -> str:
    answer = client.post(SUBSCRIPTION, json=document("active", active))
    assert answer.status_code == 201, answer.text
    return str(answer.get_json()["id"])


def switch(client: FlaskClient, body: dict[str, str]) -> dict[str, Any]:
    answer = client.post(PATH, json=body)
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.get_json()
    return shown


def status(client: FlaskClient, id_: str) -> dict[str, Any]:
    shown: dict[str, Any] = client.get(f"{SUBSCRIPTION}/{id_}/Status").get_json()
    return shown


def events(client: FlaskClient, id_: str) -> list[tuple[str, str]]:
    return [(event["event"], event["error"]) for event in status(client, id_)["recent_activity"]]


def test_nobody_turned_it_so_all_is_online(client: FlaskClient) -> None:
    assert client.get(PATH).get_json() == {
        "id": "1",
        "kind": "WebhookAdmin",
        "status": "online",
        "offline_message": "",
        "webhooks": [],
    }


def test_overview_shows_every_subscription(client: FlaskClient, database: Database) -> None:
    healthy, broken, off = sorted([create(client), create(client), create(client, "no")])[:3]
    topics = (TopicStatus(topic="orders", partitions=4),)
    with database.transaction() as session:
        session.execute(update(SubscriptionRow).where(SubscriptionRow.id == broken).values(max_batch_size=0))
        session.execute(update(SubscriptionRow).values(active=True))
        session.execute(update(SubscriptionRow).where(SubscriptionRow.id == off).values(active=False))
        subscription_statuses.write(
            session, [SubscriptionStatus(subscription_id=healthy, health=Health.HEALTHY, topics=topics)]
        )
    shown = client.get(PATH).get_json()["webhooks"]
    assert [(one["id"], one["name"], one["status"], one["topics"]) for one in shown] == [
        (healthy, "orders to the shop", "healthy", [{"topic": "orders", "partitions": 4}]),
        (broken, "orders to the shop", "unhealthy", []),
        (off, "orders to the shop", "inactive", []),
    ]
    assert {one["timestamp"][-1] for one in shown} == {"Z"}


def test_offline_makes_every_subscription_inactive(client: FlaskClient) -> None:
    id_ = create(client)
    shown = switch(client, OFFLINE)
    assert shown == client.get(PATH).get_json() | {"webhooks": shown["webhooks"]}
    assert (shown["status"], shown["offline_message"]) == ("offline", "moving house")
    assert [one["status"] for one in shown["webhooks"]] == ["inactive"]
    of = status(client, id_)
    assert (of["status"], of["reason"], of["active"]) == ("inactive", "offline", "yes")
    newest = of["recent_activity"][0]
    assert (newest["event"], newest["error"], newest["detail"]) == ("inactive", "offline", "moving house")


def test_both_ways_are_recorded_once_each(client: FlaskClient) -> None:
    id_, off = create(client), create(client, "no")
    for body in (OFFLINE, OFFLINE, ONLINE, ONLINE):
        switch(client, body)
    assert events(client, id_) == [("active", ""), ("inactive", "offline"), ("active", "")]
    assert events(client, off) == [("inactive", "offline"), ("inactive", "")]


def test_message_of_an_offline_webhookd_can_change(client: FlaskClient) -> None:
    id_ = create(client)
    switch(client, OFFLINE)
    assert switch(client, {**OFFLINE, "offline_message": "still moving"})["offline_message"] == "still moving"
    assert events(client, id_) == [("inactive", "offline"), ("active", "")]


def test_subscription_made_offline_stands_still(client: FlaskClient) -> None:
    switch(client, OFFLINE)
    id_ = create(client)
    assert events(client, id_) == [("inactive", "offline")]
    assert status(client, id_)["status"] == "inactive"
    switch(client, ONLINE)
    assert events(client, id_) == [("active", ""), ("inactive", "offline")]
    assert status(client, id_)["status"] == "healthy"


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        ({}, "status", 'is missing: write "online" or "offline"'),
        ({"status": None}, "status", 'is null: write "online" or "offline"'),
        ({"status": "OFFLINE"}, "status", 'is "OFFLINE": write "offline"'),
        ({"status": True}, "status", 'is true: write "online" or "offline"'),
        ({"status": "offline", "offline_message": 7}, "offline_message", 'is a number: write "7"'),
        (
            {"status": "offline", "offline_message": "x" * 2001},
            "offline_message",
            "has 2001 characters: write at most 2000 characters",
        ),
        ({"status": "offline", "offline_message": "nul\x00"}, "offline_message", "NUL"),
        ({"status": "offline", "until": "noon"}, "until", "is not a field"),
        ([], "", "the body is a list: write an object with status"),
    ],
)
def test_bad_switch_names_field_and_reason(client: FlaskClient, body: object, field: str, reason: str) -> None:
    answer = client.post(PATH, json=body)
    assert answer.status_code == 422
    [error] = answer.get_json()["errors"]
    assert error["field"] == field
    assert reason in error["reason"]
    assert client.get(PATH).get_json()["status"] == "online"


def test_switching_is_announced(client: FlaskClient) -> None:
    heard: queue.Queue[ChangeNotification] = queue.Queue()
    stop, ready = threading.Event(), threading.Event()
    listening = threading.Thread(
        target=ChangeSubscriber(parse("memory://")).run, args=(heard.put, stop), kwargs={"subscribed": ready}
    )
    listening.start()
    assert ready.wait(WAIT_S)
    switch(client, OFFLINE)
    assert heard.get(timeout=WAIT_S) == AdministrationChanged(status=Availability.OFFLINE)
    stop.set()
    listening.join(WAIT_S)


def test_switch_holds_without_an_announcement(settings: Settings, database: Database, kafka: MemoryKafkaAdmin) -> None:
    stuck = ChangeNotifier(parse("redis://127.0.0.1:1/0"))
    client = create_app(settings, database=database, kafka_offsets=kafka, notifier=stuck).test_client()
    assert switch(client, OFFLINE)["status"] == "offline"
