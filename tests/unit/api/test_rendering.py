"""How a status is put together."""

from dataclasses import replace
from typing import Any

import pytest

from api.resources.status.rendering import StatusRows, iso, render_status
from webhookd.flow.control.administration import Administration, Availability
from webhookd.flow.status.delivery_status import DeliveryState, DeliveryStatus, FailedAttempt
from webhookd.flow.status.subscription_status import Health, SubscriptionStatus
from webhookd.store.subscriptions import SubscriptionSummary


def status_rows(*, active: bool = True, usable: bool = True, status: SubscriptionStatus | None = None) -> StatusRows:
    summary = SubscriptionSummary(
        tenant="default", id="s", version=1, name="n", active=active, url="https://example.com/", inactive_reason=""
    )
    return StatusRows(summary=summary, usable=usable, status=status, activities=(), dead_letters=0)


def test_times_are_iso_8601_in_utc() -> None:
    assert iso(1_700_000_000.5) == "2023-11-14T22:13:20.500Z"


def test_healthy_until_ingest_says_otherwise() -> None:
    rendered = render_status(status_rows(), now=0.0)
    assert (rendered["status"], rendered["since"], rendered["topics"]) == ("healthy", None, [])


def test_unhealthy_comes_with_its_reason() -> None:
    status = SubscriptionStatus(subscription_id="s", health=Health.UNHEALTHY, reason="timeout", since=1.0)
    rendered = render_status(status_rows(status=status), now=0.0)
    assert (rendered["status"], rendered["reason"]) == ("unhealthy", "timeout")


def test_switched_off_counts_more_than_health() -> None:
    status = SubscriptionStatus(subscription_id="s", health=Health.UNHEALTHY, reason="timeout")
    assert render_status(status_rows(active=False, usable=False, status=status), now=0.0)["status"] == "inactive"


@pytest.mark.parametrize("active", [True, False])
def test_offline_counts_more_than_everything(active: bool) -> None:
    offline = Administration(status=Availability.OFFLINE, age_s=5.0)
    status = SubscriptionStatus(subscription_id="s", health=Health.UNHEALTHY, reason="timeout", since=1.0)
    rendered = render_status(replace(status_rows(active=active, status=status), administration=offline), now=8.0)
    assert (rendered["status"], rendered["reason"], rendered["since"]) == ("inactive", "offline", iso(3.0))


def test_a_configuration_that_cannot_be_used_is_unhealthy() -> None:
    rendered = render_status(status_rows(usable=False), now=0.0)
    assert (rendered["status"], rendered["reason"]) == ("unhealthy", "unusable_configuration")


FAILING = DeliveryStatus(
    state=DeliveryState.FAILING,
    since=1.0,
    attempt=2,
    max_attempts=6,
    next_attempt_at=30.0,
    lanes=4,
    lanes_failing=1,
    last_failure=FailedAttempt(code="dns_failed", at=2.0, detail="no such name"),
)


def test_failing_deliveries_are_shown_beside_healthy() -> None:
    status = SubscriptionStatus(subscription_id="s", health=Health.HEALTHY, delivery=FAILING, version=1)
    rendered = render_status(status_rows(status=status), now=3.0)
    assert (rendered["status"], rendered["delivery"]) == (
        "healthy",
        {
            "state": "failing",
            "since": iso(1.0),
            "attempt": 2,
            "max_attempts": 6,
            "next_attempt_at": iso(30.0),
            "lanes": 4,
            "lanes_failing": 1,
            "limited_by": None,
            "last_failure": {
                "code": "dns_failed",
                "timestamp": iso(2.0),
                "response_code": None,
                "response_body": "",
                "detail": "no such name",
            },
        },
    )


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "starting"),
        (
            {"status": SubscriptionStatus(subscription_id="s", health=Health.HEALTHY, delivery=FAILING, version=7)},
            "starting",
        ),
        ({"status": SubscriptionStatus(subscription_id="s", health=Health.HEALTHY, delivery=FAILING)}, "failing"),
        ({"active": False}, "stopped"),
        ({"usable": False}, "stopped"),
    ],
)
def test_state_of_deliveries_is_that_of_the_version_shown(changes: dict[str, Any], state: str) -> None:
    assert render_status(status_rows(**changes), now=3.0)["delivery"]["state"] == state
