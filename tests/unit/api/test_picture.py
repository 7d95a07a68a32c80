"""How a status is put together."""

from dataclasses import replace
from typing import Any

import pytest

from api.resources.status.picture import Facts, draw, iso
from webhookd.flow.administration import Administration, Availability
from webhookd.flow.condition import Condition, Health
from webhookd.flow.delivery_status import DeliveryState, DeliveryStatus, FailedAttempt
from webhookd.store.subscriptions import Outline


def facts(*, active: bool = True, usable: bool = True, condition: Condition | None = None) -> Facts:
    outline = Outline(id="s", version=1, name="n", active=active, url="https://example.com/", inactive_reason="")
    return Facts(outline=outline, usable=usable, condition=condition, activities=(), dead_letters=0)


def test_times_are_iso_8601_in_utc() -> None:
    assert iso(1_700_000_000.5) == "2023-11-14T22:13:20.500Z"


def test_healthy_until_ingest_says_otherwise() -> None:
    drawn = draw(facts(), now=0.0)
    assert (drawn["status"], drawn["since"], drawn["topics"]) == ("healthy", None, [])


def test_unhealthy_comes_with_its_reason() -> None:
    condition = Condition(subscription_id="s", health=Health.UNHEALTHY, reason="timeout", since=1.0)
    drawn = draw(facts(condition=condition), now=0.0)
    assert (drawn["status"], drawn["reason"]) == ("unhealthy", "timeout")


def test_switched_off_counts_more_than_health() -> None:
    condition = Condition(subscription_id="s", health=Health.UNHEALTHY, reason="timeout")
    assert draw(facts(active=False, usable=False, condition=condition), now=0.0)["status"] == "inactive"


@pytest.mark.parametrize("active", [True, False])
def test_offline_counts_more_than_everything(active: bool) -> None:
    offline = Administration(status=Availability.OFFLINE, age_s=5.0)
    condition = Condition(subscription_id="s", health=Health.UNHEALTHY, reason="timeout", since=1.0)
    drawn = draw(replace(facts(active=active, condition=condition), administration=offline), now=8.0)
    assert (drawn["status"], drawn["reason"], drawn["since"]) == ("inactive", "offline", iso(3.0))


def test_a_configuration_that_cannot_be_used_is_unhealthy() -> None:
    drawn = draw(facts(usable=False), now=0.0)
    assert (drawn["status"], drawn["reason"]) == ("unhealthy", "unusable_configuration")


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
    condition = Condition(subscription_id="s", health=Health.HEALTHY, delivery=FAILING, version=1)
    drawn = draw(facts(condition=condition), now=3.0)
    assert (drawn["status"], drawn["delivery"]) == (
        "healthy",
        {
            "state": "failing",
            "since": iso(1.0),
            "attempt": 2,
            "max_attempts": 6,
            "next_attempt_at": iso(30.0),
            "lanes": 4,
            "lanes_failing": 1,
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
        ({"condition": Condition(subscription_id="s", health=Health.HEALTHY, delivery=FAILING, version=7)}, "starting"),
        ({"condition": Condition(subscription_id="s", health=Health.HEALTHY, delivery=FAILING)}, "failing"),
        ({"active": False}, "stopped"),
        ({"usable": False}, "stopped"),
    ],
)
def test_state_of_deliveries_is_that_of_the_version_shown(changes: dict[str, Any], state: str) -> None:
    assert draw(facts(**changes), now=3.0)["delivery"]["state"] == state
