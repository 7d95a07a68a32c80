"""The subscriptions that wait until the service is online again."""

from dataclasses import replace

from tests.harness.subscriptions import ID, OTHER_ID, subscription
from webhookd.flow.status.subscription_status import Health, SubscriptionStatus
from workers.ingest.offline_subscriptions import OfflineSubscriptions

STATUS = SubscriptionStatus(subscription_id=ID, health=Health.HEALTHY)


def test_newer_version_waits_in_place_of_the_older_one() -> None:
    offline, newer = OfflineSubscriptions(), replace(subscription(), version=2)
    offline.add(subscription(), None)
    offline.add(newer, STATUS)
    assert (offline.take_all(), len(offline)) == ([(newer, STATUS)], 0)


def test_discarded_subscription_does_not_wait() -> None:
    offline = OfflineSubscriptions()
    offline.add(subscription(), None)
    offline.discard(ID)
    offline.discard(OTHER_ID)
    assert offline.take_all() == []


def test_only_changed_statuses_are_returned() -> None:
    offline, changed = OfflineSubscriptions(), replace(STATUS, reason="kafka_unavailable")
    first, second = subscription(), subscription(OTHER_ID)
    offline.add(first, STATUS)
    offline.add(second, STATUS)
    revised = offline.revise(lambda one, before: changed if one is first else before)
    assert (revised, offline.take_all()) == ([changed], [(first, changed), (second, STATUS)])


def test_status_stays_when_the_revision_returns_none() -> None:
    offline = OfflineSubscriptions()
    offline.add(subscription(), STATUS)
    assert (offline.revise(lambda _one, _before: None), offline.take_all()[0][1]) == ([], STATUS)
