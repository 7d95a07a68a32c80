"""Subscriptions are counted by state, as their status shows them. Oracle: the counts of what the test wrote."""

from collections.abc import Iterable
from dataclasses import replace
from uuid import uuid4

from sqlalchemy import update

from tests.harness.subscriptions import subscription
from webhookd.flow.control.administration import ONLINE, Administration, Availability
from webhookd.flow.status.delivery_status import DeliveryState, DeliveryStatus
from webhookd.flow.status.subscription_status import Health, SubscriptionStatus
from webhookd.store import subscription_counts, subscription_statuses, subscriptions
from webhookd.store.database import Database
from webhookd.store.subscription_counts import Counts
from webhookd.store.tables import SubscriptionRow

FINE = SubscriptionStatus(subscription_id="", health=Health.HEALTHY, version=1)
BAD = replace(FINE, health=Health.UNHEALTHY, reason="http_500")


def doing(status: SubscriptionStatus, state: DeliveryState) -> SubscriptionStatus:
    return replace(status, delivery=DeliveryStatus(state=state))


def stored(database: Database, found: Iterable[SubscriptionStatus | None], *, off: Iterable[str] = ()) -> None:
    """A subscription for each condition, None for one that ingest has not seen; and those that are off, by reason."""
    with database.transaction() as session:
        for status in found:
            made = subscription(str(uuid4()))
            subscriptions.insert(session, made)
            subscription_statuses.write(session, [replace(status, subscription_id=made.id)] if status else [])
        for reason in off:
            subscriptions.insert(session, subscription(str(uuid4()), active=False, inactive_reason=reason))


def counted(database: Database, switch: Administration = ONLINE) -> Counts:
    with database.transaction() as session:
        return subscription_counts.count(session, switch)


def test_each_state_is_counted(database: Database) -> None:
    stored(
        database,
        [
            None,
            FINE,
            doing(FINE, DeliveryState.FAILING),
            doing(BAD, DeliveryState.CIRCUIT_OPEN),
            doing(BAD, DeliveryState.FAILING),
            replace(BAD, reason="topic_missing"),
        ],
        off=["", "gone", "gone"],
    )
    assert counted(database) == Counts(
        total=9,
        healthy=2,
        failing=1,
        unhealthy=3,
        inactive=3,
        circuit_open=1,
        unhealthy_by_reason={"http_500": 2, "topic_missing": 1},
        inactive_by_reason={"owner": 1, "gone": 2},
    )


def test_offline_makes_all_inactive(database: Database) -> None:
    stored(database, [None, BAD], off=["gone"])
    offline = Administration(status=Availability.OFFLINE, age_s=5.0)
    assert counted(database, offline) == Counts(total=3, inactive=3, inactive_by_reason={"offline": 2, "gone": 1})


def test_version_that_nobody_began_with_in_time_is_counted(database: Database) -> None:
    stored(database, [None, FINE, replace(FINE, version=7), replace(FINE, version=0)])
    before = counted(database).not_started
    with database.transaction() as session:
        session.execute(update(SubscriptionRow).values(changed_at=SubscriptionRow.changed_at - 61.0))
    just_online = Administration(age_s=5.0)
    assert (before, counted(database).not_started, counted(database, just_online).not_started) == (0, 2, 0)


def test_nothing_stored_is_nothing_counted(database: Database) -> None:
    assert counted(database) == Counts()
