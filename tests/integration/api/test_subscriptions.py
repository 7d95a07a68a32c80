"""Registering, showing, changing and removing subscriptions over HTTP.

Real: Flask, the routes, SQLite. Doubled: Kafka's offsets and the announcements, by the shipped fakes.
"""

import threading
from collections.abc import Sequence
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update

from api.application import create_app
from tests.harness.subscriptions import OTHER_ID, document
from webhookd.edges.change_notifications import ChangeNotifier, ChangeSubscriber
from webhookd.edges.redis_url import parse
from webhookd.flow.control.change_notification import ChangeNotification, SubscriptionChanged
from webhookd.settings import Settings
from webhookd.store import dropped_groups, subscriptions
from webhookd.store.database import Database
from webhookd.store.tables import SubscriptionRow
from webhookd.testing.memory_kafka_admin import MemoryKafkaAdmin

PATH = "/1/Subscription"


def create(client: FlaskClient, body: dict[str, Any] | None = None) -> dict[str, Any]:
    answer = client.post(PATH, json=body or document())
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.get_json()
    del created["warnings"]
    return created


def test_a_created_subscription_is_answered_whole(client: FlaskClient) -> None:
    answer = client.post(PATH, json=document())
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"{PATH}/{answer.get_json()['id']}"
    assert answer.get_json() == {
        "id": answer.get_json()["id"],
        "kind": "Webhook",
        "tenant": "default",
        "name": "orders to the shop",
        "description": "",
        "labels": {},
        "external_id": None,
        "active": "yes",
        "destination": {
            "kind": "webhook",
            "webhook": {
                "url": "https://example.com/hook",
                "headers": ["X-Api-Key: ****"],
                "signing": {"kind": "hmac_sha256", "secret": "****"},
                "method": "POST",
                "success_codes": ["2xx"],
                "tls": None,
                "authentication": None,
                "verification": {"kind": "none"},
            },
        },
        "source": [{"topic": "orders", "jmes_filters": ["total > `100`"], "start": "latest"}],
        "configuration": {
            "batching": {"max_batch_size": 1, "max_batch_interval_seconds": 1, "max_batch_bytes": None},
            "retry": {
                "max_retries": 5,
                "retry_algorithm": "exponential_backoff",
                "on_exhausted": "pause",
                "on_rejected": "whole",
                "dead_letter_topic": None,
            },
            "delivery": {"timeout_seconds": None, "rate_limit": None, "max_concurrent_requests": None},
            "alerting": {"alert_channel": "email", "alert_emails": []},
            "filtering": {"on_filter_error": "dead_letter"},
        },
        "created_at": answer.get_json()["created_at"],
        "updated_at": answer.get_json()["created_at"],
        "warnings": [],
    }


def test_what_was_created_is_shown_the_same(client: FlaskClient) -> None:
    created = create(client)
    assert client.get(f"{PATH}/{created['id']}").get_json() == created


def test_every_configured_value_is_kept(client: FlaskClient) -> None:
    configuration = {
        "batching": {"max_batch_size": 1000, "max_batch_interval_seconds": 300, "max_batch_bytes": 1000},
        "retry": {
            "max_retries": 0,
            "retry_algorithm": "fixed_time",
            "on_exhausted": "dead_letter",
            "on_rejected": "split",
            "dead_letter_topic": "orders.dead",
        },
        "delivery": {
            "timeout_seconds": 60,
            "rate_limit": {"per_second": 0.5, "burst": 2000, "unit": "records"},
            "max_concurrent_requests": 7,
        },
        "alerting": {"alert_channel": "email", "alert_emails": ["ops@example.com"]},
        "filtering": {"on_filter_error": "drop"},
    }
    assert create(client, document("configuration", configuration))["configuration"] == configuration


def test_the_brokers_are_asked_before_the_answer(
    client: FlaskClient, database: Database, kafka: MemoryKafkaAdmin
) -> None:
    created = create(client)
    with database.transaction() as session:
        stored = subscriptions.find(session, created["id"])
    assert kafka.committed == {f"webhooks-{created['id']}": {"orders": {0: 5, 1: 7}}}
    assert stored.sources[0].start_offsets == {0: 5, 1: 7}


def test_earliest_leaves_the_group_at_the_beginning(client: FlaskClient, kafka: MemoryKafkaAdmin) -> None:
    created = create(client, document("source.0.start", "earliest"))
    assert (created["source"][0]["start"], kafka.committed) == ("earliest", {})


def test_a_topic_that_does_not_exist_yet_is_accepted(client: FlaskClient, kafka: MemoryKafkaAdmin) -> None:
    [warning] = client.post(PATH, json=document("source.0.topic", "tomorrow")).get_json()["warnings"]
    assert (warning["field"], warning["code"]) == ("source[0].topic", "topic_missing")
    assert kafka.committed == {}


def test_brokers_that_do_not_answer_leave_nothing_behind(
    client: FlaskClient, database: Database, kafka: MemoryKafkaAdmin
) -> None:
    kafka.down = True
    answer = client.post(PATH, json=document())
    with database.transaction() as session:
        left = subscriptions.versions(session)
    assert (answer.status_code, answer.get_json()["code"], left) == (503, "kafka_unavailable", {})


def test_brokers_of_another_cluster_are_refused_by_both_names(
    client: FlaskClient, database: Database, kafka: MemoryKafkaAdmin
) -> None:
    kept = create(client)
    kafka.cluster = "replaced"
    answers = [
        client.post("/1/Subscription", json=document()),
        client.put(f"/1/Subscription/{kept['id']}", json=document("source.0.topic", "orders.dead")),
    ]
    for answer in answers:
        assert (answer.status_code, answer.get_json()["code"]) == (503, "cluster_mismatch")
        assert "replaced" in answer.get_json()["detail"]
        assert "cluster-in-memory" in answer.get_json()["detail"]
    assert [group.removeprefix("webhooks-") for group in kafka.committed] == [kept["id"]]
    with database.transaction() as session:
        assert [id_ for id_, _ in subscriptions.page(session, after="", limit=10)] == [kept["id"]]


def test_cluster_without_an_id_is_accepted(client: FlaskClient, kafka: MemoryKafkaAdmin) -> None:
    create(client)
    kafka.cluster = ""
    create(client)


def test_put_replaces_the_whole_document(client: FlaskClient) -> None:
    created = create(client, document("configuration.batching.max_batch_size", 100))
    replaced = client.put(f"{PATH}/{created['id']}", json=document("name", "renamed"))
    assert (replaced.get_json()["name"], replaced.get_json()["configuration"]["batching"]["max_batch_size"]) == (
        "renamed",
        1,
    )
    assert client.get(f"{PATH}/{created['id']}").get_json() | {"warnings": []} == replaced.get_json()


def test_a_topic_that_kafka_denies_is_refused(client: FlaskClient, database: Database, kafka: MemoryKafkaAdmin) -> None:
    kafka.denied = {"secret"}
    body = document("source", [{"topic": "orders"}, {"topic": "secret"}])
    answer = client.post(PATH, json=body)
    assert (answer.status_code, answer.get_json()["code"]) == (422, "topic_denied")
    (mistake,) = answer.get_json()["errors"]
    assert (mistake["field"], "authorise" in mistake["reason"]) == ("source[1].topic", True)
    with database.transaction() as session:
        assert subscriptions.page(session, after="", limit=9) == []


def test_a_change_to_a_topic_that_kafka_denies_is_refused(client: FlaskClient, kafka: MemoryKafkaAdmin) -> None:
    created = create(client)
    kafka.denied = {"orders", "secret"}
    allowed = client.put(f"{PATH}/{created['id']}", json=document())
    refused = client.put(f"{PATH}/{created['id']}", json=document("source", [{"topic": "secret"}]))
    assert (allowed.status_code, refused.status_code) == (200, 422)
    assert refused.get_json()["errors"][0]["field"] == "source[0].topic"


def test_a_topic_that_stays_keeps_its_start(client: FlaskClient, database: Database, kafka: MemoryKafkaAdmin) -> None:
    created = create(client)
    kafka.ends["orders"] = {0: 50, 1: 70}
    assert client.put(f"{PATH}/{created['id']}", json=created | {"name": "renamed"}).status_code == 200
    with database.transaction() as session:
        stored = subscriptions.find(session, created["id"])
    assert (stored.version, stored.sources[0].start_offsets) == (2, {0: 5, 1: 7})


def test_a_change_without_new_topics_needs_no_brokers(client: FlaskClient, kafka: MemoryKafkaAdmin) -> None:
    created = create(client)
    kafka.down = True
    changed = client.put(f"{PATH}/{created['id']}", json=created)
    assert (changed.status_code, changed.get_json()["warnings"][0]["code"]) == (200, "unchecked")


def test_an_added_topic_begins_at_its_end(client: FlaskClient, database: Database, kafka: MemoryKafkaAdmin) -> None:
    created = create(client)
    kafka.ends = {"orders": {0: 50}, "refunds": {0: 9}}
    created["source"].append({"topic": "refunds"})
    assert client.put(f"{PATH}/{created['id']}", json=created).status_code == 200
    with database.transaction() as session:
        stored = subscriptions.find(session, created["id"])
    assert [source.start_offsets for source in stored.sources] == [{0: 5, 1: 7}, {0: 9}]
    assert kafka.committed[f"webhooks-{created['id']}"] == {"orders": {0: 5, 1: 7}, "refunds": {0: 9}}


def test_an_added_topic_is_left_to_ingest_where_it_is_reading(
    client: FlaskClient, database: Database, kafka: MemoryKafkaAdmin
) -> None:
    created = create(client)
    group = f"webhooks-{created['id']}"
    kafka.groups_with_members.add(group)
    kafka.ends["refunds"] = {0: 9}
    created["source"].append({"topic": "refunds"})
    assert client.put(f"{PATH}/{created['id']}", json=created).status_code == 200
    with database.transaction() as session:
        stored = subscriptions.find(session, created["id"])
    assert (stored.sources[1].start_offsets, kafka.committed[group]) == ({0: 9}, {"orders": {0: 5, 1: 7}})


def test_a_lost_announcement_does_not_stop_a_change(
    settings: Settings, database: Database, kafka: MemoryKafkaAdmin
) -> None:
    app = create_app(
        settings, database=database, kafka_offsets=kafka, notifier=ChangeNotifier(parse("redis://127.0.0.1:1/0"))
    )
    create(app.test_client())


def test_an_added_topic_without_brokers_changes_nothing(client: FlaskClient, kafka: MemoryKafkaAdmin) -> None:
    created = create(client)
    kafka.down = True
    answer = client.put(f"{PATH}/{created['id']}", json=created | {"source": [{"topic": "refunds"}]})
    assert answer.status_code == 503
    assert client.get(f"{PATH}/{created['id']}").get_json() == created


def test_the_start_of_a_topic_being_read_is_fixed(client: FlaskClient) -> None:
    created = create(client)
    created["source"][0]["start"] = "earliest"
    answer = client.put(f"{PATH}/{created['id']}", json=created)
    assert (answer.status_code, answer.get_json()["errors"][0]["field"]) == (422, "source[0].start")


def test_another_id_than_the_one_in_the_path_is_refused(client: FlaskClient) -> None:
    created = create(client)
    answer = client.put(f"{PATH}/{created['id']}", json=created | {"id": OTHER_ID})
    assert (answer.status_code, answer.get_json()["errors"][0]["field"]) == (422, "id")


def test_an_id_cannot_be_chosen(client: FlaskClient) -> None:
    answer = client.post(PATH, json=document("id", OTHER_ID))
    assert (answer.status_code, answer.get_json()["errors"][0]["field"]) == (422, "id")


def test_a_removed_subscription_is_gone(client: FlaskClient) -> None:
    created = create(client)
    removed = client.delete(f"{PATH}/{created['id']}")
    assert (removed.status_code, removed.data) == (204, b"")
    for path in (f"{PATH}/{created['id']}", f"{PATH}/{created['id']}/Status"):
        assert client.get(path).status_code == 404


def test_a_removal_leaves_its_group_to_ingest(client: FlaskClient, database: Database) -> None:
    created = create(client)
    client.delete(f"{PATH}/{created['id']}")
    with database.transaction() as session:
        assert [group.name for group in dropped_groups.waiting(session)] == [f"webhooks-{created['id']}"]


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete"])
@pytest.mark.parametrize("id_", [OTHER_ID, "1", "Status", "%00"])
def test_what_does_not_exist_is_not_found(client: FlaskClient, method: str, id_: str) -> None:
    answer = client.open(f"{PATH}/{id_}", method=method, json=document())
    assert (answer.status_code, answer.get_json()["code"]) == (404, "not_found")


def test_the_list_holds_every_subscription(client: FlaskClient) -> None:
    created = [create(client, document("name", f"number {number}")) for number in range(3)]
    answer = client.get(PATH)
    shown = {"health": "healthy", "reason": "", "lag": None}
    assert answer.get_json() == [one | shown for one in sorted(created, key=lambda item: str(item["id"]))]
    assert "Link" not in answer.headers


def test_pages_link_to_the_next(client: FlaskClient) -> None:
    ids = sorted(create(client)["id"] for _ in range(3))
    first = client.get(f"{PATH}?limit=2")
    assert first.headers["Link"] == f'<{PATH}?after={ids[1]}&limit=2>; rel="next"'
    second = client.get(f"{PATH}?after={ids[1]}&limit=2")
    assert [item["id"] for item in [*first.get_json(), *second.get_json()]] == ids


def test_of_two_changes_at_one_moment_one_conflicts(client: FlaskClient, database: Database) -> None:
    created = create(client)
    kafka_asked = created | {"source": [*created["source"], {"topic": "refunds"}]}

    class Meanwhile(MemoryKafkaAdmin):
        def end_offsets(self, topics: Sequence[str], timeout_s: float) -> dict[str, dict[int, int]]:
            with database.transaction() as session:
                session.execute(update(SubscriptionRow).values(version=SubscriptionRow.version + 1))
            return super().end_offsets(topics, timeout_s)

    services = client.application.extensions["webhookd"]
    client.application.extensions["webhookd"] = type(services)(
        settings=services.settings,
        database=database,
        brokers=Meanwhile(),
        notifications=services.notifications,
    )
    answer = client.put(f"{PATH}/{created['id']}", json=kafka_asked)
    assert (answer.status_code, answer.get_json()["code"]) == (409, "conflict")


def damage(database: Database) -> None:
    with database.transaction() as session:
        session.execute(update(SubscriptionRow).values(sources=[]))


def test_a_damaged_row_is_listed_with_its_reason(client: FlaskClient, database: Database) -> None:
    created = create(client)
    damage(database)
    [listed] = client.get(PATH).get_json()
    assert listed == {
        "id": created["id"],
        "kind": "Webhook",
        "tenant": "default",
        "unusable": "sources: not a list of topics",
        "health": "unhealthy",
        "reason": "unusable_configuration",
        "lag": None,
    }
    answer = client.get(f"{PATH}/{created['id']}")
    assert (answer.status_code, answer.get_json()["code"]) == (409, "unusable_configuration")


def test_a_damaged_row_is_repaired_without_moving_its_group(
    client: FlaskClient, database: Database, kafka: MemoryKafkaAdmin
) -> None:
    created = create(client)
    damage(database)
    kafka.ends["orders"] = {0: 50}
    assert client.put(f"{PATH}/{created['id']}", json=document()).status_code == 200
    assert kafka.committed == {f"webhooks-{created['id']}": {"orders": {0: 5, 1: 7}}}


def test_changes_are_announced_with_their_version(client: FlaskClient) -> None:
    heard: list[tuple[str, int]] = []
    stop, ready, three = threading.Event(), threading.Event(), threading.Event()

    def hear(announcement: ChangeNotification) -> None:
        assert isinstance(announcement, SubscriptionChanged)
        heard.append((announcement.id, announcement.version))
        if len(heard) == 3:
            three.set()

    listening = threading.Thread(
        target=ChangeSubscriber(parse("memory://")).run, args=(hear, stop), kwargs={"subscribed": ready}
    )
    listening.start()
    assert ready.wait(5)
    created = create(client)
    client.put(f"{PATH}/{created['id']}", json=created)  # changes nothing, so nothing is announced
    client.put(f"{PATH}/{created['id']}", json=created | {"name": "renamed"})
    client.delete(f"{PATH}/{created['id']}")
    assert three.wait(5)
    stop.set()
    listening.join()
    assert heard == [(created["id"], 1), (created["id"], 2), (created["id"], 3)]
