"""What recent activity shows, and what is kept of it."""

import pytest
from sqlalchemy import func, select

from tests.harness.subscriptions import ID, OTHER_ID, subscription
from webhookd.flow.status.activity import Activity, Event
from webhookd.store import activity, subscriptions
from webhookd.store.database import Database
from webhookd.store.tables import ActivityRow


@pytest.fixture(autouse=True)
def registered(database: Database) -> None:
    with database.transaction() as session:
        subscriptions.insert(session, subscription())


def success(at: float) -> Activity:
    return Activity(subscription_id=ID, at=at, event=Event.API_CALL, response_code=200)


def failure(at: float) -> Activity:
    return Activity(subscription_id=ID, at=at, event=Event.API_CALL, succeeded=False, error="timeout")


def append(database: Database, *activities: Activity) -> None:
    with database.transaction() as session:
        activity.append(session, activities)


def recent(database: Database) -> list[Activity]:
    with database.transaction() as session:
        return activity.recent(session, ID)


def test_an_event_comes_back_with_every_field(database: Database) -> None:
    event = Activity(
        subscription_id=ID,
        at=1_700_000_000.125,
        event=Event.API_CALL,
        succeeded=False,
        calls=3,
        request="POST https://example.com/hook",
        request_headers=("X-Api-Key: ****",),
        response_code=500,
        response_body="no",
        detail="its own word",
        response_headers=("Server: x",),
        error="status_500",
    )
    append(database, event)
    assert recent(database) == [event]


def test_the_newest_event_comes_first(database: Database) -> None:
    append(database, success(2.0), failure(3.0), success(1.0))
    assert [event.at for event in recent(database)] == [3.0, 2.0, 1.0]


def test_of_events_at_one_moment_the_last_written_comes_first(database: Database) -> None:
    append(database, failure(1.0), success(1.0))
    assert [event.succeeded for event in recent(database)] == [True, False]


def test_at_most_twenty_successes_are_shown(database: Database) -> None:
    append(database, failure(0.0), *(success(float(at)) for at in range(1, 31)))
    shown = recent(database)
    assert (len(shown), shown[0].at, shown[-1].at) == (21, 30.0, 0.0)


def test_at_most_fifty_events_are_shown(database: Database) -> None:
    append(database, *(failure(float(at)) for at in range(60)), success(100.0))
    shown = recent(database)
    assert (len(shown), shown[0].at, shown[-1].at) == (50, 100.0, 11.0)


def test_events_of_a_deleted_subscription_are_left_out(database: Database) -> None:
    late = Activity(subscription_id=OTHER_ID, at=1.0, event=Event.API_CALL)
    append(database, late, success(2.0))
    assert [event.at for event in recent(database)] == [2.0]


def test_what_an_endpoint_answers_is_stored_whatever_it_is(database: Database) -> None:
    append(
        database,
        Activity(
            subscription_id=ID,
            at=1.0,
            event=Event.API_CALL,
            response_body="a\x00b\ud800",
            response_headers=("X: \x00",),
        ),
    )
    [event] = recent(database)
    assert (event.response_body, event.response_headers) == ("a\ufffdb?", ("X: \ufffd",))


def test_purging_deletes_what_is_older_than_the_retention(database: Database) -> None:
    append(database, failure(1.0), failure(2.0), failure(3.0))
    with database.transaction() as session:
        purged = activity.purge(session, 2.0)
    assert (purged, [event.at for event in recent(database)]) == (1, [3.0, 2.0])


def test_purging_keeps_every_failure_but_only_shown_successes(database: Database) -> None:
    append(database, *(failure(float(at)) for at in range(70)), *(success(float(at)) for at in range(30)))
    with database.transaction() as session:
        purged = activity.purge(session, 0.0)
        left = session.scalar(select(func.count()).select_from(ActivityRow))
    assert (purged, left) == (10, 90)


def test_purging_in_parts_comes_to_the_same_end(database: Database) -> None:
    append(database, *(failure(float(at)) for at in range(5)), *(success(float(at)) for at in range(1, 31)))
    purged: list[int] = []
    while not purged or purged[-1] == 4:
        with database.transaction() as session:
            purged.append(activity.purge(session, 5.0, limit=4))
    assert (purged, len(recent(database))) == ([4, 4, 4, 3], 20)
