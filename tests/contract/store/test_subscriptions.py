"""What is stored of a subscription comes back, and one damaged row harms nobody else."""

from dataclasses import replace

import pytest
from sqlalchemy import func, select, text, update

from tests.harness.subscriptions import ID, OTHER_ID, subscription
from webhookd.errors import Conflict, NotFound, UnusableSubscription
from webhookd.flow.dead_letter import DeadLetter
from webhookd.flow.offsets.position import Partition
from webhookd.flow.status.activity import Activity, Event
from webhookd.flow.status.subscription_status import Health, SubscriptionStatus
from webhookd.flow.subscription import Subscription
from webhookd.store import activity, dead_letters, subscription_statuses, subscriptions
from webhookd.store.database import Database
from webhookd.store.tables import ActivityRow, SubscriptionRow, SubscriptionStatusRow


def store(database: Database, *stored: Subscription) -> None:
    with database.transaction() as session:
        for one in stored:
            subscriptions.insert(session, one)


def test_a_stored_subscription_comes_back_equal(database: Database) -> None:
    store(database, subscription())
    with database.transaction() as session:
        assert subscriptions.find(session, ID) == subscription()


def test_versions_name_every_subscription(database: Database) -> None:
    store(database, subscription(), subscription(OTHER_ID, version=4))
    with database.transaction() as session:
        assert subscriptions.versions(session) == {ID: 1, OTHER_ID: 4}


def test_loading_leaves_out_what_is_gone(database: Database) -> None:
    store(database, subscription())
    with database.transaction() as session:
        assert subscriptions.load(session, [ID, OTHER_ID]) == {ID: subscription()}


def test_loading_nothing_finds_nothing(database: Database) -> None:
    with database.transaction() as session:
        assert subscriptions.load(session, []) == {}


def test_finding_what_is_gone_raises_not_found(database: Database) -> None:
    with pytest.raises(NotFound), database.transaction() as session:
        subscriptions.find(session, ID)


def test_an_id_is_taken_only_once(database: Database) -> None:
    store(database, subscription())
    with pytest.raises(Conflict):
        store(database, subscription())


def test_the_next_version_replaces_the_one_before(database: Database) -> None:
    store(database, subscription())
    changed = subscription(version=2, name="another name", active=False)
    with database.transaction() as session:
        subscriptions.replace(session, changed)
    with database.transaction() as session:
        assert subscriptions.find(session, ID) == changed


def test_of_two_changes_made_from_one_version_the_second_conflicts(database: Database) -> None:
    store(database, subscription())
    with database.transaction() as session:
        subscriptions.replace(session, subscription(version=2, name="first"))
    with pytest.raises(Conflict), database.transaction() as session:
        subscriptions.replace(session, subscription(version=2, name="second"))
    with database.transaction() as session:
        assert subscriptions.find(session, ID).name == "first"


def test_replacing_what_was_deleted_raises_not_found(database: Database) -> None:
    with pytest.raises(NotFound), database.transaction() as session:
        subscriptions.replace(session, subscription(version=2))


def test_deleting_takes_status_and_activity_but_not_dead_letters(database: Database) -> None:
    store(database, subscription())
    dead_letter = DeadLetter(
        subscription_id=ID,
        partition=Partition("orders", 0),
        offset=1,
        timestamp_ms=0,
        key=None,
        value=b"{",
        headers=(),
        cause="not_json",
    )
    with database.transaction() as session:
        subscription_statuses.write(session, [SubscriptionStatus(subscription_id=ID, health=Health.HEALTHY)])
        activity.append(session, [Activity(subscription_id=ID, at=1.0, event=Event.ACTIVE)])
        dead_letters.append(session, [dead_letter])
    with database.transaction() as session:
        subscriptions.delete(session, ID)
    with database.transaction() as session:
        left = [
            session.scalar(select(func.count()).select_from(table)) for table in (SubscriptionStatusRow, ActivityRow)
        ]
        assert (left, dead_letters.count(session, ID)) == ([0, 0], 1)


def test_deleting_what_is_gone_raises_not_found(database: Database) -> None:
    with pytest.raises(NotFound), database.transaction() as session:
        subscriptions.delete(session, ID)


def test_pages_follow_each_other_without_gap(database: Database) -> None:
    ids = [f"00000000-0000-4000-8000-00000000000{number}" for number in range(5)]
    store(database, *(subscription(id_) for id_ in reversed(ids)))
    with database.transaction() as session:
        first = subscriptions.page(session, limit=3)
        second = subscriptions.page(session, after=first[-1][0], limit=3)
    assert [id_ for id_, _ in [*first, *second]] == ids


DAMAGE = [
    ("name", ""),
    ("version", 0),
    ("url", ""),
    ("headers", [["only a name"]]),
    ("headers", {"X-Api-Key": "secret"}),
    ("destination", {"signing": [{"secret": "whsec_c2hvcnQ="}]}),
    ("sources", []),
    ("sources", "orders"),
    ("sources", ["orders"]),
    ("sources", [{"topic": 7}]),
    ("sources", [{"topic": "a", "start": "middle"}]),
    ("sources", [{"topic": "a", "start_offsets": {"zero": 1}}]),
    ("sources", [{"topic": "a", "start_offsets": [1]}]),
    ("sources", [{"topic": "a"}, {"topic": "a"}]),
    ("sources", [{"topic": "__consumer_offsets"}]),
    ("sources", [{"topic": "a", "jmes_filters": "b"}]),
    ("max_batch_size", 0),
    ("max_batch_interval_s", -1.0),
    ("max_retries", -1),
    ("retry_algorithm", "never"),
    ("alert_emails", [7]),
    ("on_exhausted", "never"),
    ("on_filter_error", "never"),
]


@pytest.mark.parametrize(("column", "value"), DAMAGE)
def test_a_damaged_row_says_why_and_leaves_others_alone(database: Database, column: str, value: object) -> None:
    store(database, subscription(), subscription(OTHER_ID))
    with database.transaction() as session:
        session.execute(update(SubscriptionRow).where(SubscriptionRow.id == ID).values({column: value}))
    with database.transaction() as session:
        loaded = subscriptions.load(session, [ID, OTHER_ID])
    assert isinstance(loaded[ID], UnusableSubscription)
    assert column in str(loaded[ID])
    assert loaded[OTHER_ID] == subscription(OTHER_ID)


def test_a_row_whose_json_is_none_leaves_others_alone(database: Database, kind: str) -> None:
    if kind == "postgres":
        pytest.skip("Postgres keeps no JSON that is none")
    store(database, subscription(), subscription(OTHER_ID))
    with database.transaction() as session:
        session.execute(text("UPDATE subscriptions SET sources = '[{' WHERE id = :id"), {"id": ID})
    with database.transaction() as session:
        loaded = subscriptions.load(session, [ID, OTHER_ID])
    assert isinstance(loaded[ID], UnusableSubscription)
    assert loaded[OTHER_ID] == subscription(OTHER_ID)


def test_a_damaged_row_can_be_repaired_by_the_next_version(database: Database) -> None:
    store(database, subscription())
    with database.transaction() as session:
        session.execute(update(SubscriptionRow).values(sources=[]))
    with database.transaction() as session:
        assert subscriptions.summary(session, ID).name == subscription().name
        subscriptions.replace(session, replace(subscription(), version=2))
    with database.transaction() as session:
        assert subscriptions.find(session, ID) == subscription(version=2)
