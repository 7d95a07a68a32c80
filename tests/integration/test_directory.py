"""Where the worker's requests go, read from a database by version, and kept while the database is away."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import update

from tests.harness.errands import ticket
from tests.harness.subscriptions import subscription
from webhookd.errors import StoreUnavailable
from webhookd.flow.subscription import Destination, Subscription
from webhookd.flow.ticket import Ticket
from webhookd.store import migrating, subscriptions
from webhookd.store.database import Database
from webhookd.store.tables import SubscriptionRow
from workers.directory import Directory
from workers.errand import Plan

ID = ticket().subscription
SECRET = b"X-Api-Key: secret\r\n"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A database with one subscription, in its first version."""
    url = f"sqlite:///{tmp_path / 'directory.db'}"
    migrating.upgrade(url)
    made = Database(url)
    with made.transaction() as session:
        subscriptions.insert(session, version_of(1))
    yield made
    made.close()


def version_of(version: int, url: str = "https://example.com/hook") -> Subscription:
    return subscription(ID, version=version, destination=Destination(url=url, headers=(("X-Api-Key", "secret"),)))


def lose(database: Database, folder: Path) -> None:
    """The database is away from here on."""
    database.close()
    (folder / "directory.db").rename(folder / "elsewhere.db")
    (folder / "directory.db").mkdir()


def store_row(database: Database, **values: object) -> None:
    """Change the stored row behind everybody's back."""
    with database.transaction() as session:
        session.execute(update(SubscriptionRow).where(SubscriptionRow.id == ID).values(**values))


def test_plan_says_where_and_with_what(database: Database) -> None:
    (plan,) = Directory(database).plans([ticket()])
    assert isinstance(plan, Plan)
    assert (plan.target.host, plan.version, SECRET in plan.head) == ("example.com", 1, True)


def test_each_ticket_of_a_parcel_is_answered(database: Database) -> None:
    plans = Directory(database).plans([ticket("d1"), ticket("d2")])
    assert [type(plan) for plan in plans] == [Plan, Plan]


def test_ticket_of_an_older_version_is_stale(database: Database) -> None:
    store_row(database, version=2)
    assert Directory(database).plans([ticket()]) == [None]


def test_newer_version_is_read_when_a_ticket_names_it(database: Database) -> None:
    directory = Directory(database)
    directory.plans([ticket()])
    store_row(database, version=2, url="https://example.org/new")
    newer = ticket_of(2)
    (plan, old) = directory.plans([newer, ticket()])
    assert isinstance(plan, Plan)
    assert (plan.target.host, old) == ("example.org", None)


def ticket_of(version: int) -> Ticket:
    return msgspec.structs.replace(ticket(), version=version)


def test_version_nobody_stored_yet_is_stale(database: Database) -> None:
    assert Directory(database).plans([ticket_of(9)]) == [None]


def test_deleted_subscription_is_stale(database: Database) -> None:
    with database.transaction() as session:
        subscriptions.delete(session, ID)
    assert Directory(database).plans([ticket()]) == [None]


@pytest.mark.parametrize("url", ["", "ftp://example.com", "not a url"])
def test_unusable_destination_is_stale(database: Database, url: str) -> None:
    store_row(database, url=url)
    assert Directory(database).plans([ticket()]) == [None]


def test_known_plan_needs_no_database(database: Database, tmp_path: Path) -> None:
    directory = Directory(database)
    known = directory.plans([ticket()])
    (tmp_path / "directory.db").unlink()
    database.close()
    assert directory.plans([ticket()]) == known


def test_unknown_plan_says_that_the_database_is_away(tmp_path: Path) -> None:
    away = Database(f"sqlite:///{tmp_path / 'nowhere' / 'directory.db'}")
    (answer,) = Directory(away).plans([ticket()])
    assert isinstance(answer, StoreUnavailable)
    away.close()


def test_known_plan_does_not_wait_for_an_unknown_one(database: Database, tmp_path: Path) -> None:
    directory = Directory(database)
    (plan,) = directory.plans([ticket()])
    lose(database, tmp_path)
    known, unknown = directory.plans([ticket(), msgspec.structs.replace(ticket(), subscription="s2")])
    assert isinstance(plan, Plan)
    assert (known, type(unknown)) == (plan, StoreUnavailable)


def test_ticket_older_than_an_unread_version_waits(database: Database, tmp_path: Path) -> None:
    directory = Directory(database)
    directory.plans([ticket()])
    lose(database, tmp_path)
    assert [type(answer) for answer in directory.plans([ticket(), ticket_of(2)])] == [StoreUnavailable] * 2


def compared(directory: Directory, database: Database) -> None:
    known = directory.known()
    with database.transaction() as session:
        versions = subscriptions.versions(session, known)
    directory.compare(known, versions)


def test_kept_plan_of_a_changed_subscription_is_stale(database: Database, tmp_path: Path) -> None:
    directory = Directory(database)
    directory.plans([ticket()])
    store_row(database, version=2, active=False)
    compared(directory, database)
    lose(database, tmp_path)
    assert directory.plans([ticket()]) == [None]


def test_kept_plan_of_a_deleted_subscription_is_stale(database: Database, tmp_path: Path) -> None:
    directory = Directory(database)
    directory.plans([ticket()])
    with database.transaction() as session:
        subscriptions.delete(session, ID)
    compared(directory, database)
    lose(database, tmp_path)
    assert (directory.plans([ticket()]), directory.known()) == ([None], [])


def test_unchanged_plan_is_kept(database: Database, tmp_path: Path) -> None:
    directory = Directory(database)
    known = directory.plans([ticket()])
    compared(directory, database)
    lose(database, tmp_path)
    assert directory.plans([ticket()]) == known


def test_announced_version_counts_without_a_database(database: Database, tmp_path: Path) -> None:
    directory = Directory(database)
    directory.plans([ticket()])
    lose(database, tmp_path)
    directory.heard(ID, 2)
    assert directory.plans([ticket()]) == [None]


def test_older_announcement_changes_nothing(database: Database) -> None:
    store_row(database, version=3)
    directory = Directory(database)
    directory.heard(ID, 3)
    directory.heard(ID, 2)
    (current, old) = directory.plans([ticket_of(3), ticket_of(2)])
    assert (type(current), old) == (Plan, None)
