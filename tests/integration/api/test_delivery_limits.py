"""The limits of a subscription's requests over HTTP: `configuration.delivery`.

Real: Flask, the routes, SQLite. Doubled: Kafka's offsets and the announcements, by the shipped fakes.
"""

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.harness.subscriptions import document
from webhookd.flow.destination import RateLimit, RateUnit
from webhookd.store import subscriptions
from webhookd.store.database import Database

PATH = "/1/Subscription"


def with_delivery(delivery: object, max_batch_size: int = 1) -> dict[str, Any]:
    made = document("configuration.delivery", delivery)
    made["configuration"]["batching"] = {"max_batch_size": max_batch_size}
    return made


def created(client: FlaskClient, delivery: object, max_batch_size: int = 1) -> dict[str, Any]:
    answer = client.post(PATH, json=with_delivery(delivery, max_batch_size))
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


def reasons(client: FlaskClient, delivery: object, max_batch_size: int = 1) -> dict[str, str]:
    answer = client.post(PATH, json=with_delivery(delivery, max_batch_size))
    assert answer.status_code == 422, answer.text
    return {error["field"]: error["reason"] for error in answer.get_json()["errors"]}


def test_limits_are_stored_and_shown(client: FlaskClient, database: Database) -> None:
    delivery = {"rate_limit": {"per_second": 2.5, "burst": 5, "unit": "records"}, "max_concurrent_requests": 3}
    shown = created(client, delivery)
    with database.transaction() as session:
        limits = subscriptions.find(session, shown["id"]).limits
    assert shown["configuration"]["delivery"] == {"timeout_seconds": None} | delivery
    assert limits.rate_limit == RateLimit(per_second=2.5, burst=5, unit=RateUnit.RECORDS)
    assert limits.max_concurrent == 3


@pytest.mark.parametrize(
    ("rate_limit", "size", "burst"),
    [
        ({"per_second": 100}, 1, 25),
        ({"per_second": 0.5}, 1, 1),
        ({"per_second": 10, "burst": None}, 100, 2),
        ({"per_second": 10, "unit": "records"}, 100, 100),
        ({"per_second": 1000, "unit": "records"}, 100, 250),
    ],
)
def test_burst_without_a_value(client: FlaskClient, rate_limit: dict[str, object], size: int, burst: int) -> None:
    shown = created(client, {"rate_limit": rate_limit}, size)["configuration"]["delivery"]["rate_limit"]
    assert shown == {"unit": "requests"} | rate_limit | {"burst": burst}


def test_patch_changes_the_rate_alone(client: FlaskClient) -> None:
    shown = created(client, {"rate_limit": {"per_second": 100}, "max_concurrent_requests": 3})
    patch = {"configuration": {"delivery": {"rate_limit": {"per_second": 50}}}}
    answer = client.patch(f"{PATH}/{shown['id']}", json=patch, content_type="application/merge-patch+json")
    assert answer.get_json()["configuration"]["delivery"] == {
        "timeout_seconds": None,
        "rate_limit": {"per_second": 50, "burst": 25, "unit": "requests"},
        "max_concurrent_requests": 3,
    }


def test_null_removes_a_limit(client: FlaskClient) -> None:
    shown = created(client, {"rate_limit": {"per_second": 100}, "max_concurrent_requests": 3})
    patch = {"configuration": {"delivery": {"rate_limit": None}}}
    answer = client.patch(f"{PATH}/{shown['id']}", json=patch, content_type="application/merge-patch+json")
    assert answer.get_json()["configuration"]["delivery"]["rate_limit"] is None


def test_document_is_its_own_put(client: FlaskClient) -> None:
    shown = created(client, {"rate_limit": {"per_second": 10, "unit": "records"}}, 50)
    answer = client.put(f"{PATH}/{shown['id']}", json=shown)
    assert answer.status_code == 200, answer.text
    assert answer.get_json()["configuration"] == shown["configuration"]


@pytest.mark.parametrize(
    ("delivery", "field", "reason"),
    [
        ({"rate_limit": {}}, "rate_limit.per_second", "is missing: write a number from 0.01 to 100000"),
        ({"rate_limit": {"per_second": 0}}, "rate_limit.per_second", "is 0: write a number from 0.01 to 100000"),
        (
            {"rate_limit": {"per_second": "5"}},
            "rate_limit.per_second",
            "is a string: write a number from 0.01 to 100000",
        ),
        ({"rate_limit": {"per_second": True}}, "rate_limit.per_second", "is true: write a number from 0.01 to 100000"),
        (
            {"rate_limit": {"per_second": 1, "burst": 0}},
            "rate_limit.burst",
            "is 0: write a whole number from 1 to 100000",
        ),
        (
            {"rate_limit": {"per_second": 1, "unit": "bytes"}},
            "rate_limit.unit",
            'is "bytes": write "requests" or "records"',
        ),
        ({"max_concurrent_requests": 0}, "max_concurrent_requests", "is 0: write a whole number from 1 to 1000"),
        ({"rate_limit": 5}, "rate_limit", "is a number: write an object with per_second, in { }"),
    ],
)
def test_refused_values(client: FlaskClient, delivery: object, field: str, reason: str) -> None:
    assert reasons(client, delivery) == {f"configuration.delivery.{field}": reason}


def test_burst_has_room_for_a_full_batch(client: FlaskClient) -> None:
    delivery = {"rate_limit": {"per_second": 10, "burst": 9, "unit": "records"}}
    assert reasons(client, delivery, max_batch_size=10) == {
        "configuration.delivery.rate_limit.burst": "is less than max_batch_size, so that a full batch could not be "
        "sent: write 10 or more"
    }
    created(client, delivery, max_batch_size=9)
