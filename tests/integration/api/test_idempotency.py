"""A POST that is sent again with its Idempotency-Key: one change, one answer.

Oracle: draft-ietf-httpapi-idempotency-key-header-07, and the number of subscriptions in the database.
"""

import multiprocessing
import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, update

from api.application import create_app
from api.resources.policy import routes as policy_routes
from api.resources.subscription.routes import CHECKS
from tests.harness.secret_keys import SECRET_KEYS
from tests.harness.subscriptions import document
from webhookd.edges.change_notifications import ChangeNotifier
from webhookd.edges.redis_url import parse
from webhookd.settings import Settings
from webhookd.store.access_tables import IdempotencyKeyRow
from webhookd.store.database import Database
from webhookd.store.idempotency_keys import IN_PROGRESS_S, KEPT_S
from webhookd.store.tables import SubscriptionRow
from webhookd.testing.memory_kafka_admin import MemoryKafkaAdmin

PATH = "/1/Subscription"
KEY = {"Idempotency-Key": '"4f9b1c1e-9a55-4b4f-8f0e-6d3d5a1f2b3c"'}
WAIT_S = 30.0


def subscriptions(database: Database) -> int:
    with database.transaction() as session:
        return session.scalar(select(func.count()).select_from(SubscriptionRow)) or 0


def aged(database: Database, by_s: float) -> None:
    """Let this time pass since every key was claimed."""
    with database.transaction() as session:
        session.execute(update(IdempotencyKeyRow).values(created_at=IdempotencyKeyRow.created_at - by_s))


def rows(database: Database) -> list[int | None]:
    """The status of each stored answer."""
    with database.transaction() as session:
        return list(session.scalars(select(IdempotencyKeyRow.status)))


def test_repetition_gets_the_same_answer_and_changes_nothing(client: FlaskClient, database: Database) -> None:
    first, again = (client.post(PATH, json=document(), headers=KEY) for _ in range(2))
    assert (again.status_code, again.data) == (first.status_code, first.data) == (201, first.data)
    for header in ("Location", "ETag"):
        assert again.headers[header] == first.headers[header]
    assert (first.headers.get("Idempotent-Replayed"), again.headers["Idempotent-Replayed"]) == (None, "true")
    assert subscriptions(database) == 1


def test_order_of_fields_makes_no_other_body(client: FlaskClient, database: Database) -> None:
    reversed_body = dict(reversed(list(document().items())))
    answers = [client.post(PATH, json=body, headers=KEY).status_code for body in (document(), reversed_body)]
    assert (answers, subscriptions(database)) == ([201, 201], 1)


def test_other_body_with_the_same_key_is_refused(client: FlaskClient, database: Database) -> None:
    client.post(PATH, json=document(), headers=KEY)
    answer = client.post(PATH, json=document("name", "another one"), headers=KEY)
    assert (answer.status_code, answer.get_json()["code"]) == (422, "idempotency_key_reused")
    assert subscriptions(database) == 1


def test_without_a_key_each_request_makes_its_change(client: FlaskClient, database: Database) -> None:
    assert [client.post(PATH, json=document()).status_code for _ in range(2)] == [201, 201]
    assert (subscriptions(database), rows(database)) == (2, [])


def test_other_key_is_another_request(client: FlaskClient, database: Database) -> None:
    for key in ("a", '"b"'):
        assert client.post(PATH, json=document(), headers={"Idempotency-Key": key}).status_code == 201
    assert subscriptions(database) == 2


def test_quotes_are_not_part_of_the_key(client: FlaskClient, database: Database) -> None:
    for key in ("a", '"a"'):
        assert client.post(PATH, json=document(), headers={"Idempotency-Key": key}).status_code == 201
    assert subscriptions(database) == 1


@pytest.mark.parametrize("key", ["", " ", '""', '"a', 'a"b', "a b", "a,b", '"a";p=1', "a" * 256, '"a\\"b"', "ä"])
def test_rubbish_is_refused(client: FlaskClient, database: Database, key: str) -> None:
    answer = client.post(PATH, json=document(), headers={"Idempotency-Key": key})
    assert (answer.status_code, answer.get_json()["errors"][0]["field"]) == (422, "Idempotency-Key")
    assert (subscriptions(database), rows(database)) == (0, [])


def test_refused_request_leaves_the_key_free(client: FlaskClient, database: Database) -> None:
    topic = "configuration.retry.dead_letter_topic"
    assert client.post(PATH, json=document(topic, "not-there"), headers=KEY).status_code == 422
    assert rows(database) == []
    assert client.post(PATH, json=document(), headers=KEY).status_code == 201


def test_failed_request_leaves_the_key_free(client: FlaskClient, database: Database, kafka: MemoryKafkaAdmin) -> None:
    kafka.down = True
    assert client.post(PATH, json=document(), headers=KEY).status_code == 503
    kafka.down = False
    assert client.post(PATH, json=document(), headers=KEY).status_code == 201
    assert subscriptions(database) == 1


def test_key_is_forgotten_after_a_day(client: FlaskClient, database: Database) -> None:
    client.post(PATH, json=document(), headers=KEY)
    aged(database, KEPT_S - 60.0)
    assert client.post(PATH, json=document(), headers=KEY).headers["Idempotent-Replayed"] == "true"
    aged(database, 60.0)
    assert "Idempotent-Replayed" not in client.post(PATH, json=document(), headers=KEY).headers
    assert subscriptions(database) == 2


class Checks:
    """Takes the place of the checks after the commit; `then` is what happens there."""

    def __init__(self, then: Any) -> None:  # noqa: ANN401  # any function
        self.warnings = then


def test_failure_after_the_commit_is_answered_with_the_change(
    app: Flask, client: FlaskClient, database: Database
) -> None:
    checks = app.extensions[CHECKS]
    app.extensions[CHECKS] = Checks(lambda _: 1 / 0)
    assert client.post(PATH, json=document(), headers=KEY).status_code == 500
    app.extensions[CHECKS] = checks
    answer = client.post(PATH, json=document(), headers=KEY)
    assert (answer.status_code, answer.headers["Idempotent-Replayed"]) == (201, "true")
    created = client.get(answer.headers["Location"])
    assert answer.get_json() == {**created.get_json(), "warnings": []}
    assert answer.headers["ETag"] == created.headers["ETag"]
    assert subscriptions(database) == 1


def _killed_after_the_commit(url: str) -> None:
    app = create_app(
        Settings(redis_url="memory://", api_auth="none"),
        database=Database(url, secret_keys=SECRET_KEYS),
        kafka_offsets=MemoryKafkaAdmin({"orders": {0: 5}}),
        notifier=ChangeNotifier(parse("memory://")),
    )
    app.extensions[CHECKS] = Checks(lambda _: os._exit(9))
    app.test_client().post(PATH, json=document(), headers=KEY)


def test_process_that_is_killed_after_the_commit_leaves_the_answer(
    client: FlaskClient, database: Database, migrated_url: str
) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_killed_after_the_commit, args=[migrated_url])
    process.start()
    process.join(WAIT_S * 3)
    assert (process.exitcode, subscriptions(database)) == (9, 1)
    answer = client.post(PATH, json=document(), headers=KEY)
    assert (answer.status_code, answer.headers["Idempotent-Replayed"]) == (201, "true")
    assert client.get(answer.headers["Location"]).status_code == 200
    assert subscriptions(database) == 1


class HeldKafka(MemoryKafkaAdmin):
    """Kafka whose first answer waits until the test lets it go."""

    def __init__(self) -> None:
        super().__init__({"orders": {0: 5}})
        self.asked = threading.Event()
        self.go_on = threading.Event()

    def end_offsets(self, topics: Sequence[str], timeout_s: float) -> dict[str, dict[int, int]]:
        """The end offsets."""
        if not self.asked.is_set():
            self.asked.set()
            self.go_on.wait(WAIT_S)
        return super().end_offsets(topics, timeout_s)


class Held:
    """A request with the key that hangs in Kafka; a context."""

    def __init__(self, app: Flask, kafka: HeldKafka) -> None:
        self._kafka = kafka
        self.answers: list[Mapping[str, Any]] = []
        self._thread = threading.Thread(target=self._run, args=(app.test_client(),))
        self._thread.start()
        assert kafka.asked.wait(WAIT_S)

    def _run(self, client: FlaskClient) -> None:
        answer = client.post(PATH, json=document(), headers=KEY)
        self.answers.append({"status": answer.status_code, "code": answer.get_json().get("code")})

    def end(self) -> Mapping[str, Any]:
        """Let it go on, and return how it was answered."""
        self._kafka.go_on.set()
        self._thread.join(WAIT_S)
        return self.answers[0]


@pytest.fixture
def held(settings: Settings, database: Database) -> Held:
    """The request that hangs, on an application of its own."""
    kafka = HeldKafka()
    app = create_app(settings, database=database, kafka_offsets=kafka, notifier=ChangeNotifier(parse("memory://")))
    return Held(app, kafka)


def test_second_request_meanwhile_is_told_to_come_back(client: FlaskClient, database: Database, held: Held) -> None:
    answer = client.post(PATH, json=document(), headers=KEY)
    assert (answer.status_code, answer.get_json()["code"]) == (409, "request_in_progress")
    assert answer.headers["Retry-After"] == "1"
    assert held.end()["status"] == 201
    assert client.post(PATH, json=document(), headers=KEY).headers["Idempotent-Replayed"] == "true"
    assert subscriptions(database) == 1


def test_request_that_was_taken_over_makes_no_change(client: FlaskClient, database: Database, held: Held) -> None:
    aged(database, IN_PROGRESS_S)
    assert client.post(PATH, json=document(), headers=KEY).status_code == 201
    assert held.end() == {"status": 409, "code": "request_in_progress"}
    assert (subscriptions(database), rows(database)) == (1, [201])


@pytest.mark.parametrize("rotated", [False, True])
def test_repetition_that_makes_a_key_shows_its_document_and_no_secret(
    client: FlaskClient, database: Database, *, rotated: bool
) -> None:
    body = {"name": "n", "role": "admin"}
    path = client.post("/1/Key", json=body).headers["Location"] + "/Rotate" if rotated else "/1/Key"
    first, again = (client.post(path, json={} if rotated else body, headers=KEY) for _ in range(2))
    made = first.get_json()
    secret = made.pop("key")
    assert (first.status_code, again.status_code, again.get_json()) == (201, 201, made)
    assert again.headers["Location"] == first.headers["Location"]
    assert len(client.get("/1/Key").get_json()) == (2 if rotated else 1)
    with database.transaction() as session:
        stored = repr([vars(row) for row in session.scalars(select(IdempotencyKeyRow))])
    assert secret.rpartition("_")[2] not in stored


ALLOW = {"topic": "orders", "effect": "allow"}


def test_repetition_creates_one_policy(client: FlaskClient) -> None:
    first, again = (client.post("/1/Policy", json=ALLOW, headers=KEY) for _ in range(2))
    assert (first.status_code, again.status_code, again.data) == (201, 201, first.data)
    assert (again.headers["Location"], again.headers["Idempotent-Replayed"]) == (first.headers["Location"], "true")
    assert [one["id"] for one in client.get("/1/Policy").get_json()] == [first.get_json()["id"]]
    other = client.post("/1/Policy", json={**ALLOW, "priority": 7}, headers=KEY)
    assert (other.status_code, other.get_json()["code"]) == (422, "idempotency_key_reused")


def test_repetition_of_a_policy_that_nobody_has_seen_confirmed_is_accepted_only(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(policy_routes, "announce", lambda *_: 1 / 0)
        assert client.post("/1/Policy", json=ALLOW, headers=KEY).status_code == 500
    answer = client.post("/1/Policy", json=ALLOW, headers=KEY)
    assert (answer.status_code, answer.headers["Idempotent-Replayed"]) == (202, "true")
    assert answer.get_json() == client.get(answer.headers["Location"]).get_json()
