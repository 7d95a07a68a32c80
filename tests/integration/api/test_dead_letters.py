"""A subscription's dead letters over the API: listed, deleted; and the topics for copies that are refused."""

from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update

from tests.harness.dead_letters import dead_letter
from tests.harness.subscriptions import OTHER_ID, document
from webhookd.flow.offsets.topic_metadata import TopicRules
from webhookd.store import dead_letters
from webhookd.store.database import Database
from webhookd.store.dead_letters import PAGE_BYTES, PURGE_ROWS
from webhookd.store.tables import DeadLetterRow
from webhookd.testing.memory_kafka_admin import MemoryKafkaAdmin

TOPIC_FIELD = "configuration.retry.dead_letter_topic"


@pytest.fixture
def id_(client: FlaskClient) -> str:
    """A registered subscription."""
    return str(client.post("/1/Subscription", json=document()).get_json()["id"])


def stores(database: Database, id_: str, *offsets: int, size_bytes: int = 1, **changes: Any) -> None:  # noqa: ANN401
    made = [replace(dead_letter(id_, offset, size_bytes), **changes) for offset in offsets]
    with database.transaction() as session:
        dead_letters.append(session, made)


def path(id_: str) -> str:
    return f"/1/Subscription/{id_}/DeadLetter"


def offsets(client: FlaskClient, address: str) -> tuple[list[int], str]:
    """The offsets of a page, and the address of the next one."""
    answer = client.get(address)
    assert answer.status_code == 200
    link = answer.headers.get("Link", "")
    return [item["offset"] for item in answer.get_json()], link.partition(">")[0].removeprefix("<")


def test_dead_letter_is_shown_with_its_exact_bytes(client: FlaskClient, database: Database, id_: str) -> None:
    parts: dict[str, Any] = {
        "key": b"\xff",
        "value": rb'{"t":"\ud83d"} ',
        "headers": (("a", b"1"), ("b", b"\xfe"), ("c", None)),
    }
    stores(database, id_, 7, **parts, cause="http_422", detail="no", status=422, attempts=3)
    (shown,) = client.get(path(id_)).get_json()
    assert shown.pop("stored").endswith("Z")
    assert shown == {
        "topic": "orders",
        "partition": 0,
        "offset": 7,
        "timestamp": 0,
        "key": {"base64": "/w=="},
        "headers": [
            {"name": "a", "value": "1"},
            {"name": "b", "value": {"base64": "/g=="}},
            {"name": "c", "value": None},
        ],
        "value": r'{"t":"\ud83d"} ',
        "hidden": False,
        "cause": "http_422",
        "detail": "no",
        "status": 422,
        "attempts": 3,
    }


def test_pages_follow_each_other_to_the_end(client: FlaskClient, database: Database, id_: str) -> None:
    stores(database, id_, 9, 10, 11)
    stores(database, OTHER_ID, 12)
    first, second_page = offsets(client, f"{path(id_)}?limit=2")
    assert (first, offsets(client, second_page)) == ([9, 10], ([11], ""))


def test_page_of_large_records_is_shorter(client: FlaskClient, database: Database, id_: str) -> None:
    stores(database, id_, 1, 2, 3, size_bytes=PAGE_BYTES // 2)
    first, second_page = offsets(client, path(id_))
    assert (first, offsets(client, second_page)[0]) == ([1, 2], [3])


def test_subscription_without_dead_letters_has_an_empty_list(client: FlaskClient, id_: str) -> None:
    assert offsets(client, path(id_)) == ([], "")


def test_dead_letters_of_a_deleted_subscription_can_be_had(client: FlaskClient, database: Database, id_: str) -> None:
    stores(database, id_, 1)
    client.delete(f"/1/Subscription/{id_}")
    assert offsets(client, path(id_))[0] == [1]
    assert client.delete(path(id_)).get_json() == {"deleted": 1, "more": False}


@pytest.mark.parametrize("method", ["get", "delete"])
def test_unknown_subscription_is_not_found(client: FlaskClient, method: str) -> None:
    assert getattr(client, method)(path(OTHER_ID)).status_code == 404


def test_all_are_deleted_and_no_other_subscriptions(client: FlaskClient, database: Database, id_: str) -> None:
    stores(database, id_, *range(PURGE_ROWS + 5))
    stores(database, OTHER_ID, 1)
    assert client.delete(path(id_)).get_json() == {"deleted": PURGE_ROWS + 5, "more": False}
    with database.transaction() as session:
        assert (dead_letters.count(session, id_), dead_letters.count(session, OTHER_ID)) == (0, 1)
    assert client.delete(path(id_)).get_json() == {"deleted": 0, "more": False}


def test_older_ones_are_deleted(client: FlaskClient, database: Database, id_: str) -> None:
    stores(database, id_, 1, 2)
    with database.transaction() as session:
        session.execute(update(DeadLetterRow).where(DeadLetterRow.offset == 1).values(stored_at=1_700_000_000.0))
    answer = client.delete(path(id_), query_string={"older_than": "2024-01-01T00:00:00+01:00"})
    assert (answer.get_json()["deleted"], offsets(client, path(id_))[0]) == (1, [2])


@pytest.mark.parametrize(
    ("method", "query", "field"),
    [
        ("get", {"after": "orders"}, "after"),
        ("get", {"after": "orders:1:-2"}, "after"),
        ("get", {"after": ":1:2"}, "after"),
        ("get", {"after": "\0:0:0"}, "after"),
        ("get", {"after": "or ders:1:2"}, "after"),
        ("get", {"after": f"orders:1:{'9' * 40}"}, "after"),
        ("get", {"limit": "101"}, "limit"),
        ("get", {"offset": "1"}, "offset"),
        ("delete", {"older_than": "yesterday"}, "older_than"),
        ("delete", {"older_than": "2024-01-01T00:00:00"}, "older_than"),
        ("delete", {"older": "2024-01-01T00:00:00Z"}, "older"),
    ],
)
def test_bad_query_is_named(client: FlaskClient, id_: str, method: str, query: dict[str, str], field: str) -> None:
    answer = getattr(client, method)(path(id_), query_string=query)
    assert (answer.status_code, [error["field"] for error in answer.get_json()["errors"]]) == (422, [field])


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        (TopicRules(cleanup=frozenset({"compact"})), "is compacted"),
        (TopicRules(cleanup=frozenset({"compact", "delete"})), "is compacted"),
        (TopicRules(cleanup=frozenset({"delete"}), writable=False), "not authorized"),
    ],
)
def test_topic_that_takes_no_dead_letters_is_refused(
    client: FlaskClient, kafka: MemoryKafkaAdmin, id_: str, rules: TopicRules, words: str
) -> None:
    kafka.rules["orders.dead"] = rules
    body = document("configuration.retry.dead_letter_topic", "orders.dead")
    answers = [client.post("/1/Subscription", json=body), client.put(f"/1/Subscription/{id_}", json=body)]
    for answer in answers:
        (error,) = answer.get_json()["errors"]
        assert (answer.status_code, error["field"], words in error["reason"]) == (422, TOPIC_FIELD, True)


@pytest.mark.parametrize("rules", [TopicRules(), TopicRules(cleanup=frozenset({"delete"}), writable=True)])
def test_topic_that_nothing_is_known_against_is_accepted(
    client: FlaskClient, kafka: MemoryKafkaAdmin, rules: TopicRules
) -> None:
    kafka.rules["orders.dead"] = rules
    body = document("configuration.retry.dead_letter_topic", "orders.dead")
    assert client.post("/1/Subscription", json=body).status_code == 201


def test_topic_that_does_not_exist_is_refused(client: FlaskClient) -> None:
    answer = client.post("/1/Subscription", json=document("configuration.retry.dead_letter_topic", "nowhere"))
    assert (answer.status_code, answer.get_json()["errors"][0]["field"]) == (422, TOPIC_FIELD)


def test_topic_for_dead_letters_that_kafka_denies_is_named(
    client: FlaskClient, kafka: MemoryKafkaAdmin, id_: str
) -> None:
    kafka.denied = {"orders.dead"}
    body = document(TOPIC_FIELD, "orders.dead")
    answers = [client.post("/1/Subscription", json=body), client.put(f"/1/Subscription/{id_}", json=body)]
    for answer in answers:
        (error,) = answer.get_json()["errors"]
        assert (answer.status_code, answer.get_json()["code"], error["field"]) == (422, "topic_denied", TOPIC_FIELD)
