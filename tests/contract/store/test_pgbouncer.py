"""The store behind a PgBouncer in transaction mode: everything works, and every bound is in force.

Real: Postgres, and Debian's PgBouncer with its default options. Oracle: what Postgres and PgBouncer say of their
settings, and a clock.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import psycopg2
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from stack.pgbouncer import PgBouncer
from tests.harness.databases import new_database
from tests.harness.secret_keys import SECRET_KEYS
from tests.harness.subscriptions import ID, subscription
from webhookd import clock
from webhookd.errors import StoreUnavailable
from webhookd.store import migrating, subscriptions
from webhookd.store.database import Database
from webhookd.store.engines import Bounds
from webhookd.store.schema import REVISION

pytestmark = pytest.mark.postgres

SHORT = Bounds(statement_s=0.2)


@pytest.fixture(scope="module")
def bare_url(pgbouncer: PgBouncer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A new database through PgBouncer; the first test migrates it."""
    with new_database("postgres", tmp_path_factory.mktemp("database")) as url:
        yield pgbouncer.through(url)


@pytest.fixture(scope="module")
def migrations(bare_url: str) -> list[str]:
    """What two migrations at the same moment say."""
    said: list[str] = []
    both = [threading.Thread(target=lambda: said.append(str(migrating.upgrade(bare_url)))) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    return said


@pytest.fixture
def url(bare_url: str, migrations: list[str]) -> str:
    """A migrated database through PgBouncer."""
    del migrations
    return bare_url


@contextmanager
def opened(url: str, bounds: Bounds | None = None) -> Iterator[Database]:
    database = Database(url, bounds=bounds, secret_keys=SECRET_KEYS)
    try:
        yield database
    finally:
        database.close()


def seconds_until_unavailable(act: Callable[[], None]) -> float:
    before = clock.monotonic()
    with pytest.raises(StoreUnavailable):
        act()
    return clock.monotonic() - before


def test_migrations_at_the_same_moment_take_turns(migrations: list[str]) -> None:
    assert sorted(migrations) == [f"created the tables, revision {REVISION}", f"the database is at {REVISION} already"]


def test_what_is_written_is_read(url: str) -> None:
    with opened(url) as database:
        with database.transaction() as session:
            subscriptions.insert(session, subscription())
        with database.transaction() as session:
            assert subscriptions.versions(session) == {ID: 1}
        with database.transaction() as session:
            subscriptions.delete(session, ID)


def test_each_transaction_has_its_bounds(url: str) -> None:
    with opened(url) as database:
        for _ in range(2):
            with database.transaction() as session:
                assert session.scalar(text("SHOW statement_timeout")) == "3s"
                assert session.scalar(text("SHOW idle_in_transaction_session_timeout")) == "30s"


def test_other_clients_of_the_same_connection_get_no_bounds(url: str) -> None:
    name = make_url(url)
    with opened(url) as database, closing(psycopg2.connect(host=name.host, port=name.port, user=name.username,
                                                           dbname=name.database)) as other:  # fmt: skip
        with database.transaction() as session:
            used = session.scalar(text("SELECT pg_backend_pid()"))
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid(), current_setting('statement_timeout')")
            assert cursor.fetchone() == (used, "0")


def test_statement_that_takes_too_long_fails_in_time(url: str) -> None:
    def sleep() -> None:
        with database.transaction() as session:
            session.execute(text("SELECT pg_sleep(60)"))

    with opened(url, SHORT) as database:
        assert seconds_until_unavailable(sleep) < 30
        database.ping()


def test_wait_for_a_lock_fails_in_time(url: str) -> None:
    def lock() -> None:
        with database.transaction() as session:
            session.execute(text("LOCK TABLE subscriptions"))

    with opened(url, SHORT) as database, opened(url) as holder, holder.transaction() as held:
        held.execute(text("LOCK TABLE subscriptions"))
        assert seconds_until_unavailable(lock) < 30


def test_frozen_pgbouncer_is_unavailable_in_time(url: str, pgbouncer: PgBouncer) -> None:
    with opened(url, Bounds(silence_s=0.2, connect_s=0.2)) as database:
        database.ping()
        pgbouncer.child.freeze()
        try:
            assert seconds_until_unavailable(database.ping) < 30
        finally:
            pgbouncer.child.thaw()
        database.ping()
