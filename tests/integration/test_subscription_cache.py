"""Where the worker's requests go, read from a database by version, and kept while the database is away."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import update

from tests.harness.delivery_senders import ref
from tests.harness.subscriptions import subscription
from webhookd.errors import StoreUnavailable
from webhookd.flow.dispatch.task_message import DeliveryRef
from webhookd.flow.subscription import Destination, Subscription
from webhookd.store import migrating, subscriptions
from webhookd.store.database import Database
from webhookd.store.tables import SubscriptionRow
from workers.delivery.delivery_sender import RequestTemplate
from workers.delivery.subscription_cache import SubscriptionCache

ID = ref().subscription
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
    (plan,) = SubscriptionCache(database).templates([ref()])
    assert isinstance(plan, RequestTemplate)
    assert (plan.target.host, plan.version, SECRET in plan.head) == ("example.com", 1, True)


def test_each_ref_of_a_parcel_is_answered(database: Database) -> None:
    plans = SubscriptionCache(database).templates([ref("d1"), ref("d2")])
    assert [type(plan) for plan in plans] == [RequestTemplate, RequestTemplate]


def test_ref_of_an_older_version_is_stale(database: Database) -> None:
    store_row(database, version=2)
    assert SubscriptionCache(database).templates([ref()]) == [None]


def test_newer_version_is_read_when_a_ref_names_it(database: Database) -> None:
    cache = SubscriptionCache(database)
    cache.templates([ref()])
    store_row(database, version=2, url="https://example.org/new")
    newer = ref_of(2)
    (plan, old) = cache.templates([newer, ref()])
    assert isinstance(plan, RequestTemplate)
    assert (plan.target.host, old) == ("example.org", None)


def ref_of(version: int) -> DeliveryRef:
    return msgspec.structs.replace(ref(), version=version)


def test_version_nobody_stored_yet_is_stale(database: Database) -> None:
    assert SubscriptionCache(database).templates([ref_of(9)]) == [None]


def test_deleted_subscription_is_stale(database: Database) -> None:
    with database.transaction() as session:
        subscriptions.delete(session, ID)
    assert SubscriptionCache(database).templates([ref()]) == [None]


@pytest.mark.parametrize("url", ["", "ftp://example.com", "not a url"])
def test_unusable_destination_is_stale(database: Database, url: str) -> None:
    store_row(database, url=url)
    assert SubscriptionCache(database).templates([ref()]) == [None]


def test_known_plan_needs_no_database(database: Database, tmp_path: Path) -> None:
    cache = SubscriptionCache(database)
    known = cache.templates([ref()])
    (tmp_path / "directory.db").unlink()
    database.close()
    assert cache.templates([ref()]) == known


def test_unknown_plan_says_that_the_database_is_away(tmp_path: Path) -> None:
    away = Database(f"sqlite:///{tmp_path / 'nowhere' / 'directory.db'}")
    (answer,) = SubscriptionCache(away).templates([ref()])
    assert isinstance(answer, StoreUnavailable)
    away.close()


def test_known_plan_does_not_wait_for_an_unknown_one(database: Database, tmp_path: Path) -> None:
    cache = SubscriptionCache(database)
    (plan,) = cache.templates([ref()])
    lose(database, tmp_path)
    known, unknown = cache.templates([ref(), msgspec.structs.replace(ref(), subscription="s2")])
    assert isinstance(plan, RequestTemplate)
    assert (known, type(unknown)) == (plan, StoreUnavailable)


def test_ref_older_than_an_unread_version_waits(database: Database, tmp_path: Path) -> None:
    cache = SubscriptionCache(database)
    cache.templates([ref()])
    lose(database, tmp_path)
    assert [type(answer) for answer in cache.templates([ref(), ref_of(2)])] == [StoreUnavailable] * 2


def compared(cache: SubscriptionCache, database: Database) -> None:
    known = cache.cached_ids()
    with database.transaction() as session:
        versions = subscriptions.versions(session, known)
    cache.drop_outdated(known, versions)


def test_kept_plan_of_a_changed_subscription_is_stale(database: Database, tmp_path: Path) -> None:
    cache = SubscriptionCache(database)
    cache.templates([ref()])
    store_row(database, version=2, active=False)
    compared(cache, database)
    lose(database, tmp_path)
    assert cache.templates([ref()]) == [None]


def test_kept_plan_of_a_deleted_subscription_is_stale(database: Database, tmp_path: Path) -> None:
    cache = SubscriptionCache(database)
    cache.templates([ref()])
    with database.transaction() as session:
        subscriptions.delete(session, ID)
    compared(cache, database)
    lose(database, tmp_path)
    assert (cache.templates([ref()]), cache.cached_ids()) == ([None], [])


def test_unchanged_plan_is_kept(database: Database, tmp_path: Path) -> None:
    cache = SubscriptionCache(database)
    known = cache.templates([ref()])
    compared(cache, database)
    lose(database, tmp_path)
    assert cache.templates([ref()]) == known


def test_announced_version_counts_without_a_database(database: Database, tmp_path: Path) -> None:
    cache = SubscriptionCache(database)
    cache.templates([ref()])
    lose(database, tmp_path)
    cache.invalidate(ID, 2)
    assert cache.templates([ref()]) == [None]


def test_older_announcement_changes_nothing(database: Database) -> None:
    store_row(database, version=3)
    cache = SubscriptionCache(database)
    cache.invalidate(ID, 3)
    cache.invalidate(ID, 2)
    (current, old) = cache.templates([ref_of(3), ref_of(2)])
    assert (type(current), old) == (RequestTemplate, None)
