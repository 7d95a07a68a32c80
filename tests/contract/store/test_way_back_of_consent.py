"""Back from revision 0007: earlier versions can read every status, and deliver to no endpoint that has not consented.

Oracle: the delivery states and codes that revision 0006 knows, and which of the endpoints have consented.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.databases import create_tables, new_database
from tests.harness.generated_rows import read
from tests.harness.subscriptions import subscription
from webhookd.flow.destination import Destination, Verification
from webhookd.flow.status.delivery_status import DeliveryState, DeliveryStatus, FailedAttempt
from webhookd.flow.status.problem import Problem
from webhookd.flow.status.subscription_status import Health, SubscriptionStatus
from webhookd.store import migrating, subscription_statuses, subscriptions
from webhookd.store.database import Database

URL = "https://example.com/hook"
IDLE = DeliveryStatus(state=DeliveryState.IDLE)
UNVERIFIED = DeliveryStatus(
    state=DeliveryState.UNVERIFIED, attempt=3, last_failure=FailedAttempt(code="consent_missing", at=5.0)
)
NO_CONSENT = Problem(code="endpoint_unverified", since=2.0, standing=True)
UNUSABLE = Problem(code="destination_unusable", detail="why", since=1.0, standing=True)
NO_TOPIC = Problem(code="topic_missing", since=3.0, standing=True)

WAITS = (UNVERIFIED, (NO_CONSENT,))
RUNS: tuple[DeliveryStatus, tuple[Problem, ...]] = (IDLE, ())


@pytest.fixture
def bare_url(kind: str, tmp_path: Path) -> Iterator[str]:
    """A database without tables."""
    with new_database(kind, tmp_path) as url:
        yield url


def back(
    url: str, destination: Destination, found: tuple[DeliveryStatus, tuple[Problem, ...]] = RUNS, *, active: bool = True
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The rows of a subscription and of its status at revision 0006."""
    create_tables(url)
    database = Database(url)
    stored = subscription(destination=destination, active=active)
    delivery, problems = found
    status = SubscriptionStatus(
        subscription_id=stored.id,
        health=Health.UNHEALTHY if problems else Health.HEALTHY,
        reason=problems[0].code if problems else "",
        delivery=delivery,
        problems=problems,
        delivered=7,
        version=1,
    )
    with database.transaction() as session:
        subscriptions.insert(session, stored)
        subscription_statuses.write(session, [status])
    database.close()
    migrating.downgrade(url, "0006")
    rows = read(url)
    return rows["subscriptions"][0], rows["subscription_statuses"][0]


@pytest.mark.parametrize("verification", [Verification.OPTIONS, Verification.ECHO])
@pytest.mark.parametrize("verified", [None, False])
def test_endpoint_without_consent_gets_nothing(
    bare_url: str, verification: Verification, *, verified: bool | None
) -> None:
    row, status = back(bare_url, Destination(url=URL, verification=verification, verified=verified), WAITS)
    assert (row["active"], row["inactive_reason"], row["version"]) == (False, "endpoint_unverified", 2)
    assert (status["delivery"], status["delivery_state"], status["problems"]) == ({}, "", [])
    assert (status["health"], status["reason"], status["delivered"]) == ("healthy", "", 7)


@pytest.mark.parametrize(
    "destination",
    [Destination(url=URL), Destination(url=URL, verification=Verification.ECHO, verified=True, granted_per_minute=60)],
)
def test_others_go_on(bare_url: str, destination: Destination) -> None:
    row, status = back(bare_url, destination)
    assert (row["active"], row["inactive_reason"], row["version"]) == (True, "", 1)
    assert (status["delivery_state"], status["version_delivered"]) == ("idle", True)


def test_status_of_an_inactive_subscription_can_be_read(bare_url: str) -> None:
    row, status = back(bare_url, Destination(url=URL, verification=Verification.ECHO), WAITS, active=False)
    assert (row["active"], row["inactive_reason"], row["version"]) == (False, "", 1)
    assert (status["delivery"], status["delivery_state"]) == ({}, "")


def test_problem_that_an_earlier_version_cannot_end_is_removed_without_a_mail_about_a_recovery(bare_url: str) -> None:
    _, status = back(bare_url, Destination(url=URL), (IDLE, (UNUSABLE,)))
    assert (status["health"], status["reason"], status["problems"]) == ("healthy", "", [])
    assert (status["version_delivered"], status["delivery_state"]) == (False, "idle")


def test_other_problems_stay(bare_url: str) -> None:
    _, status = back(bare_url, Destination(url=URL), (IDLE, (UNUSABLE, NO_TOPIC)))
    assert (status["health"], status["reason"]) == ("unhealthy", "topic_missing")
    assert [problem["code"] for problem in status["problems"]] == ["topic_missing"]
    assert status["version_delivered"]
