"""/1/Policy: what is stored, which subscriptions get a new version, who is waited for, and what is refused.

Real: SQLite, the application. Doubled: Kafka, by its fake in memory.
"""

import json
from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from api.extensions.callers import set_caller
from api.ports import services_of
from api.resources.policy.confirmation import announce
from tests.harness.policies import OPERATOR, POLICY_ID
from tests.harness.subscriptions import document, subscription
from webhookd.flow.control.membership import Member
from webhookd.flow.subscription import Source
from webhookd.settings import Settings
from webhookd.store import ingest_members, policies, subscriptions
from webhookd.store.access_tables import AuditLogRow
from webhookd.store.database import Database
from webhookd.store.tables import IngestMemberRow
from webhookd.testing.memory_kafka_admin import MemoryKafkaAdmin

ALLOW: dict[str, Any] = {"topic": "orders", "effect": "allow", "projection": {"exclude": ["note"]}}
DENY: dict[str, Any] = {"topic": "shop.*", "effect": "deny", "tenant": "acme", "condition": "secret"}


TWO_TOPICS = ({"topic": "orders"}, {"topic": "refunds"})


def create(client: FlaskClient, given: dict[str, Any] | None = None, **changes: object) -> dict[str, Any]:
    answer = client.post("/1/Policy", json={**(given or ALLOW), **changes})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = body(answer)
    return made


def body(answer: TestResponse) -> Any:  # noqa: ANN401 - any JSON
    """What the response holds."""
    return answer.get_json()


def reason(answer: TestResponse) -> tuple[int, str]:
    """The status, and the first wrong field."""
    errors = body(answer).get("errors") or [{}]
    return answer.status_code, str(errors[0].get("field", "")).replace("/", ".").strip("#.")


def versions(database: Database) -> dict[str, int]:
    with database.transaction() as session:
        return subscriptions.versions(session)


def stored(database: Database, id_: str, topic: str, tenant: str = "default") -> None:
    with database.transaction() as session:
        subscriptions.insert(session, subscription(id_, sources=(Source(topic=topic),), tenant=tenant))


def test_policy_is_shown_as_it_was_written(client: FlaskClient) -> None:
    made = create(client)
    assert made["confirmation"] == {"version": 1, "confirmed": True, "missing": [], "detail": ""}
    shown = body(client.get(f"/1/Policy/{made['id']}"))
    assert shown == {name: value for name, value in made.items() if name != "confirmation"}
    assert (shown["priority"], shown["condition"], shown["tenant"], shown["version"]) == (100, "", None, 1)
    assert shown["projection"] == {"exclude": ["note"]}


def test_put_replaces_and_keeps_what_was(client: FlaskClient) -> None:
    made = create(client)
    answer = client.put(f"/1/Policy/{made['id']}", json=DENY | {"id": made["id"], "version": 1})
    assert (answer.status_code, body(answer)["version"], body(answer)["projection"]) == (200, 2, None)
    assert client.put(f"/1/Policy/{made['id']}", json=DENY | {"version": 1}).status_code == 409
    assert client.delete(f"/1/Policy/{made['id']}").status_code == 204
    assert client.get(f"/1/Policy/{made['id']}").status_code == 404
    history = body(client.get(f"/1/Policy/{made['id']}/Version"))
    assert [entry["version"] for entry in history] == [3, 2, 1]
    assert [entry["policy"] and entry["policy"]["effect"] for entry in history] == [None, "deny", "allow"]


def test_pages_of_versions_follow_each_other(client: FlaskClient) -> None:
    made = create(client)
    client.put(f"/1/Policy/{made['id']}", json=DENY)
    first = client.get(f"/1/Policy/{made['id']}/Version?limit=1")
    following = first.headers["Link"].split("<")[1].split(">")[0]
    rest = client.get(following)
    assert ([one["version"] for one in body(first) + body(rest)], "Link" in rest.headers) == ([2, 1], False)


def test_each_change_has_an_audit_row(client: FlaskClient, database: Database) -> None:
    made = create(client)
    client.put(f"/1/Policy/{made['id']}", json=DENY)
    client.delete(f"/1/Policy/{made['id']}")
    with database.transaction() as session:
        rows = session.scalars(select(AuditLogRow).where(AuditLogRow.subject_id == made["id"])).all()
    assert [row.action for row in rows] == ["create", "change", "delete"]
    assert [(row.before or {}).get("effect") for row in rows] == [None, "allow", "deny"]
    assert [(row.after or {}).get("effect") for row in rows] == ["allow", "deny", None]


def test_list_has_what_applies_to_a_tenant_and_a_topic(client: FlaskClient) -> None:
    everybody, acme = create(client), create(client, DENY)

    def listed(query: str) -> set[str]:
        return {one["id"] for one in body(client.get(f"/1/Policy{query}"))}

    assert listed("") == {everybody["id"], acme["id"]}
    assert listed("?tenant=other") == {everybody["id"]}
    assert listed("?tenant=acme&topic=shop.orders") == {acme["id"]}
    first = client.get("/1/Policy?limit=1")
    rest = client.get(first.headers["Link"].split("<")[1].split(">")[0])
    assert {one["id"] for one in body(first) + body(rest)} == listed("")
    assert "Link" not in rest.headers


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"topic": "a topic"}, "topic"),
        ({"topic": ""}, "topic"),
        ({"tenant": "Acme"}, "tenant"),
        ({"effect": "permit"}, "effect"),
        ({"priority": -1}, "priority"),
        ({"condition": "a =="}, "condition"),
        ({"condition": "a" * 5000}, "condition"),
        ({"projection": {}}, "projection"),
        ({"projection": {"include": ["a"], "exclude": ["b"]}}, "projection"),
        ({"projection": {"include": ["a["]}}, "projection.include[0]"),
        ({"projection": {"exclude": []}}, "projection.exclude"),
        ({"projection": {"expression": "a ||"}}, "projection.expression"),
        ({"effect": "deny"}, "projection"),
        ({"condtion": "a"}, "condtion"),
        ({"id": POLICY_ID}, "id"),
    ],
)
def test_wrong_field_is_named(client: FlaskClient, changes: dict[str, Any], field: str) -> None:
    assert reason(client.post("/1/Policy", json=ALLOW | changes)) == (422, field)
    assert body(client.get("/1/Policy")) == []


class TestLimit:
    """As many policies as the setting allows."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(redis_url="memory://", api_auth="none", policy_limit=1)

    def test_limit_is_named(self, client: FlaskClient) -> None:
        create(client)
        answer = client.post("/1/Policy", json=ALLOW)
        assert (answer.status_code, body(answer)["code"]) == (409, "limit_reached")
        assert "WEBHOOKD_POLICY_LIMIT" in answer.text


def test_only_concerned_subscriptions_get_a_new_version(client: FlaskClient, database: Database) -> None:
    stored(database, "orders", "orders")
    stored(database, "acme", "orders", tenant="acme")
    stored(database, "other", "refunds")
    made = create(client, tenant="acme")  # it closes the topic to everybody else
    assert versions(database) == {"orders": 2, "acme": 2, "other": 1}
    client.put(f"/1/Policy/{made['id']}", json=ALLOW | {"tenant": "acme", "description": "the same for records"})
    assert versions(database) == {"orders": 2, "acme": 2, "other": 1}
    client.put(f"/1/Policy/{made['id']}", json=ALLOW | {"tenant": "acme", "topic": "refunds"})
    assert versions(database) == {"orders": 3, "acme": 3, "other": 2}
    client.delete(f"/1/Policy/{made['id']}")
    assert versions(database) == {"orders": 3, "acme": 3, "other": 3}


def heartbeat(database: Database, policy_version: int, age_s: float = 0.0) -> None:
    with database.transaction() as session:
        ingest_members.heartbeat(session, Member(id="ingest-1"), policy_version)
        session.execute(update(IngestMemberRow).values(heartbeat_at=IngestMemberRow.heartbeat_at - age_s))


def test_process_without_a_heartbeat_is_named_at_once(client: FlaskClient, database: Database) -> None:
    heartbeat(database, 0, age_s=60.0)
    answer = client.post("/1/Policy", json=ALLOW)
    (missing,) = body(answer)["confirmation"]["missing"]
    assert (answer.status_code, missing["member"], missing["confirmed_version"]) == (202, "ingest-1", 0)
    assert 60.0 <= missing["heartbeat_age_seconds"] < 120.0
    assert body(client.get("/1/Policy/Confirmation"))["confirmed"] is False
    answer = client.delete(f"/1/Policy/{body(answer)['id']}")
    assert (answer.status_code, body(answer)["version"], body(answer)["confirmed"]) == (202, 2, False)
    heartbeat(database, 2)
    assert body(client.get("/1/Policy/Confirmation"))["confirmed"] is True


def test_process_that_was_silent_for_long_delivers_nothing_any_more(client: FlaskClient, database: Database) -> None:
    heartbeat(database, 0, age_s=320.0)
    create(client)


def test_answer_waits_until_the_process_confirms(app: Flask, database: Database) -> None:
    heartbeat(database, 6)
    with app.app_context():
        set_caller(OPERATOR)
        assert [one.id for one in announce(services_of(app), 7, wait_s=0.1).missing] == ["ingest-1"]
        confirming = Thread(target=heartbeat, args=(database, 7))
        confirming.start()
        assert announce(services_of(app), 7, wait_s=20.0).confirmed
        confirming.join()


def test_topic_without_a_policy_is_open_without_keys(client: FlaskClient) -> None:
    assert client.post("/1/Subscription", json=document()).status_code == 201


class TestClosed:
    """Topics without a policy are closed."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(redis_url="memory://", api_auth="none", topics_without_policy="closed")

    @pytest.mark.parametrize("topic", ["orders", "missing"])
    def test_topic_that_no_policy_allows_is_refused_before_kafka_is_asked(
        self, client: FlaskClient, kafka: MemoryKafkaAdmin, topic: str
    ) -> None:
        kafka.down = True
        answer = client.post("/1/Subscription", json=document("source.0.topic", topic))
        assert (body(answer)["code"], reason(answer)) == ("not_allowed", (403, "source[0].topic"))
        assert f"the topic {topic}" in answer.text

    def test_allowed_topic_is_accepted(self, client: FlaskClient) -> None:
        create(client, tenant="default")
        made = client.post("/1/Subscription", json=document())
        assert made.status_code == 201
        changed = client.put(f"/1/Subscription/{body(made)['id']}", json=document("source.0.topic", "refunds"))
        assert reason(changed) == (403, "source[0].topic")

    def test_owner_deactivates_what_is_not_allowed_any_more(self, client: FlaskClient) -> None:
        policy = create(client, tenant="default")["id"]
        path = f"/1/Subscription/{body(client.post('/1/Subscription', json=document()))['id']}"
        assert client.delete(f"/1/Policy/{policy}").status_code == 204
        assert reason(client.patch(path, json={"name": "still active"})) == (403, "source[0].topic")
        assert reason(client.patch(path, json={"active": "no", "source": [*TWO_TOPICS]})) == (403, "source[1].topic")
        assert client.patch(path, json={"active": "no"}).status_code == 200
        filtered = client.put(path, json=document("source.0.jmes_filters", ["note == 'x'"]) | {"active": "no"})
        assert (filtered.status_code, body(filtered)["active"], body(filtered)["warnings"]) == (200, "no", [])
        assert reason(client.patch(path, json={"active": "yes"})) == (403, "source[0].topic")
        assert body(client.get(path))["active"] == "no"

    def test_policy_of_another_tenant_allows_nothing(self, client: FlaskClient) -> None:
        create(client, tenant="acme")
        assert client.post("/1/Subscription", json=document()).status_code == 403


def test_warnings_do_not_tell_what_is_in_hidden_fields(client: FlaskClient, kafka: MemoryKafkaAdmin) -> None:
    kafka.records["orders"] = [b'{"note": "secret"}']
    filtered = document("source.0.jmes_filters", ["note == 'other'"])
    assert "filter_passes_nothing" in client.post("/1/Subscription", json=filtered).text
    create(client, condition="visible")
    assert body(client.post("/1/Subscription", json=filtered))["warnings"] == []


RECORD = {"text": '{"order_id": 7, "total": 1.10, "note": "n"}', "key": "k", "headers": [{"name": "h", "value": "v"}]}


def dry_run(client: FlaskClient, **given: object) -> dict[str, Any]:
    answer = client.post("/1/Policy/DryRun", json={"topic": "orders", **given})
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = body(answer)
    return shown


def test_dry_run_shows_what_the_stored_policies_let_through(client: FlaskClient) -> None:
    made = create(client)
    shown = dry_run(client, records=[RECORD, {"value": {"note": 1}}, {"text": "rubbish"}])
    assert (shown["governed"], shown["allowed"], shown["policies"]) == (True, True, [made["id"]])
    assert [one["verdict"] for one in shown["records"]] == ["allowed", "allowed", "undecodable"]
    first = shown["records"][0]
    assert (first["policy"], json.loads(first["seen"]["value"])) == (made["id"], {"order_id": 7, "total": 1.1})
    assert ("1.10" in first["seen"]["value"], first["seen"]["key"], first["seen"]["headers"]) == (True, None, [])


def test_dry_run_of_a_draft_stores_nothing(client: FlaskClient, database: Database) -> None:
    made = create(client)
    draft = ALLOW | {"condition": "order_id == `7`", "projection": None}
    replaced = dry_run(client, policy=draft | {"id": made["id"]}, records=[RECORD, {"value": {"order_id": 8}}])
    assert [one["verdict"] for one in replaced["records"]] == ["allowed", "denied"]
    assert replaced["records"][0]["seen"]["key"] == "k"
    added = dry_run(client, policy=DENY | {"topic": "*", "tenant": None, "condition": ""}, records=[RECORD])
    assert (added["records"][0]["verdict"], added["records"][0]["seen"]) == ("denied", None)
    alone = dry_run(client, policy=DENY | {"topic": "x", "tenant": None}, stored="no", records=[RECORD])
    assert (alone["governed"], alone["records"][0]["verdict"]) == (False, "allowed")
    with database.transaction() as session:
        assert policies.version(session) == 1


def test_dry_run_names_conditions_that_fail(client: FlaskClient) -> None:
    made = create(client, DENY | {"topic": "orders", "tenant": None, "condition": "order_id < 'a'"})
    (decided,) = dry_run(client, records=[RECORD])["records"]
    assert (decided["verdict"], decided["failed_conditions"][0]["policy"]) == ("denied", made["id"])


def test_dry_run_reads_the_last_records_of_the_topic(client: FlaskClient, kafka: MemoryKafkaAdmin) -> None:
    create(client)
    kafka.records["orders"] = [b'{"note": 1}', b'{"a": 1, "note": 2}']
    assert [one["seen"]["value"] for one in dry_run(client, count=1)["records"]] == ['{"a":1}']


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"topic": "missing"}, "topic"),
        ({"policy": ALLOW | {"condition": "a =="}}, "policy.condition"),
        ({"policy": {"effect": "allow"}}, "policy.topic"),
        ({"records": []}, "records"),
        ({"records": [{"text": "1", "value": 1}]}, "records[0]"),
        ({"records": [{"valu": 1}]}, "records[0].valu"),
    ],
)
def test_dry_run_names_what_is_wrong(client: FlaskClient, given: dict[str, Any], field: str) -> None:
    assert reason(client.post("/1/Policy/DryRun", json={"topic": "orders"} | given)) == (422, field)


@pytest.mark.parametrize("method", ["get", "put", "delete"])
def test_unknown_policy_is_not_found(client: FlaskClient, method: str) -> None:
    send: Callable[..., TestResponse] = getattr(client, method)
    answer = send(f"/1/Policy/{POLICY_ID}", **({"json": ALLOW} if method == "put" else {}))
    assert answer.status_code == 404
    assert client.get(f"/1/Policy/{POLICY_ID}/Version").status_code == 404
