"""The switch and the groups to be dropped, on both databases."""

import pytest

from tests.harness.subscriptions import ID, OTHER_ID, subscription
from webhookd.flow.control.administration import ONLINE, Availability
from webhookd.flow.status.activity import Event
from webhookd.store import activity, administration, dropped_groups, subscriptions
from webhookd.store.database import Database


@pytest.fixture(autouse=True)
def stored(database: Database) -> None:
    with database.transaction() as session:
        subscriptions.insert(session, subscription())
        subscriptions.insert(session, subscription(OTHER_ID, active=False))


def switch(database: Database, status: Availability, message: str = "") -> None:
    with database.transaction() as session:
        administration.switch(session, status, message)


def events(database: Database, id_: str) -> list[tuple[Event, str, str]]:
    with database.transaction() as session:
        return [(row.event, row.error, row.detail) for row in activity.recent(session, id_)]


def test_switch_is_online_until_it_is_turned(database: Database) -> None:
    with database.transaction() as session:
        assert administration.read(session, lock=True) == ONLINE


def test_switch_keeps_its_message_and_age(database: Database) -> None:
    switch(database, Availability.OFFLINE, "moving \x00 house")
    with database.transaction() as session:
        shown = administration.read(session, lock=True)
    assert (shown.offline, shown.offline_message) == (True, "moving \ufffd house")
    assert 0.0 <= shown.age_s < 60.0


def test_same_switch_again_does_not_make_it_younger(database: Database) -> None:
    switch(database, Availability.OFFLINE)
    with database.transaction() as session:
        before = administration.read(session).age_s
    switch(database, Availability.OFFLINE, "again")
    with database.transaction() as session:
        again = administration.read(session)
    assert (again.age_s >= before, again.offline_message) == (True, "again")


def test_every_log_has_both_changes_once(database: Database) -> None:
    for status in (Availability.OFFLINE, Availability.OFFLINE, Availability.ONLINE, Availability.ONLINE):
        switch(database, status, "moving" if status is Availability.OFFLINE else "")
    assert events(database, ID) == [(Event.ACTIVE, "", ""), (Event.INACTIVE, "offline", "moving")]
    assert events(database, OTHER_ID) == [(Event.INACTIVE, "offline", "moving")]


def test_dropped_groups_wait_until_removed(database: Database) -> None:
    with database.transaction() as session:
        dropped_groups.add(session, "webhooks-a")
        dropped_groups.add(session, "webhooks-b")
        dropped_groups.add(session, "webhooks-a")
    with database.transaction() as session:
        dropped_groups.remove(session, "webhooks-b")
        [left] = dropped_groups.waiting(session)
    assert left.name == "webhooks-a"
    assert 0.0 <= left.age_s < 60.0


def test_versions_can_be_read_of_some(database: Database) -> None:
    with database.transaction() as session:
        assert subscriptions.versions(session, [ID, "nobody"]) == {ID: 1}
