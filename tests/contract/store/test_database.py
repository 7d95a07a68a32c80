"""Transactions commit or leave nothing, take turns, and never wait for ever."""

import socket
import threading
import traceback
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError

from tests.harness.subscriptions import ID, OTHER_ID, subscription
from webhookd import clock
from webhookd.errors import NotFound, SchemaMismatch, StoreUnavailable
from webhookd.flow.control.membership import Member
from webhookd.store import ingest_members, subscriptions
from webhookd.store.database import Database
from webhookd.store.engines import Bounds


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A server that takes connections and never says a word, as a frozen one does."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_an_error_leaves_nothing_behind(database: Database) -> None:
    def fail() -> None:
        with database.transaction() as session:
            subscriptions.insert(session, subscription())
            subscriptions.delete(session, OTHER_ID)

    with pytest.raises(NotFound):
        fail()
    with database.transaction() as session:
        assert subscriptions.versions(session) == {}


def test_an_error_tells_no_parameter(database: Database) -> None:
    secret = uuid.uuid4().hex[:8]  # short: Postgres cuts the statement that it shows
    with pytest.raises(Exception, match="nowhere") as caught, database.transaction() as session:
        session.execute(text("INSERT INTO nowhere VALUES (:value)"), {"value": secret})
    assert secret not in f"{caught.value} {caught.value.__cause__}"


def test_an_error_tells_nothing_of_the_row_that_is_refused(database: Database) -> None:
    def fail() -> None:
        with database.transaction() as session:
            session.execute(text("CREATE TEMPORARY TABLE refusing (a TEXT, b TEXT NOT NULL)"))
            session.execute(text("INSERT INTO refusing VALUES ('can' || :value, NULL)"), {"value": "ary"})

    with pytest.raises(IntegrityError) as caught:
        fail()
    shown = "".join(traceback.format_exception(caught.value))
    assert ("refusing" in shown, "canary" in shown) == (True, False)


def test_a_database_that_answers_can_be_pinged(database: Database) -> None:
    database.ping()


def test_a_statement_that_takes_too_long_is_unavailable(database_url: str, kind: str) -> None:
    if kind == "sqlite":
        pytest.skip("SQLite runs in this process: nobody stops a statement")
    database = Database(database_url, bounds=Bounds(statement_s=0.05))
    with pytest.raises(StoreUnavailable), database.transaction() as session:
        session.execute(text("SELECT pg_sleep(60)"))
    database.ping()
    database.close()


@pytest.mark.parametrize("statement", ["SELECT * FROM nowhere", "SELECT nothing FROM subscriptions"])
def test_other_tables_than_expected_are_a_mismatch(database: Database, statement: str) -> None:
    with (
        pytest.raises(SchemaMismatch, match=r"no(where|thing).*other tables; run: webhookd migrate"),
        database.transaction() as session,
    ):
        session.execute(text(statement))


def test_a_row_that_exists_is_no_outage(database: Database) -> None:
    row = text("INSERT INTO kafka_cluster (id, cluster_id, recorded_at) VALUES (1, 'c', 0)")
    with database.transaction() as session:
        session.execute(row)
    with pytest.raises(IntegrityError), database.transaction() as session:
        session.execute(row)


def test_a_server_that_takes_no_writes_is_left_for_another(database: Database, kind: str) -> None:
    if kind == "sqlite":
        pytest.skip("SQLite has no standby")
    with database.transaction() as session:
        before = session.scalar(text("SELECT pg_backend_pid()"))
    with pytest.raises(StoreUnavailable, match="read-only"), database.transaction() as session:
        session.execute(text("SET TRANSACTION READ ONLY; DELETE FROM subscriptions"))
    with database.transaction() as session:
        assert session.scalar(text("SELECT pg_backend_pid()")) != before


def test_a_missing_right_is_unavailable(database: Database, kind: str) -> None:
    if kind == "sqlite":
        pytest.skip("SQLite has no rights")
    with pytest.raises(StoreUnavailable, match="permission denied"), database.transaction() as session:
        session.execute(text("SET LOCAL ROLE pg_monitor; SELECT * FROM subscriptions"))


def test_writers_take_turns(database: Database) -> None:
    together = threading.Barrier(4)

    def write(number: int) -> None:
        together.wait(5)
        for _ in range(5):
            with database.transaction() as session:
                ingest_members.alive(session, 5.0)
                ingest_members.heartbeat(session, Member(id=f"member-{number}"))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    with database.transaction() as session:
        assert len(ingest_members.alive(session, 60.0)) == 4


def test_a_closed_database_opens_again(database: Database) -> None:
    database.ping()
    database.close()
    database.ping()


def test_a_subscription_that_is_held_is_not_deleted_meanwhile(database: Database) -> None:
    with database.transaction() as session:
        subscriptions.insert(session, subscription())
    deleting, deleted = threading.Event(), threading.Event()

    def delete() -> None:
        deleting.set()
        with database.transaction() as session:
            subscriptions.delete(session, ID)
        deleted.set()

    thread = threading.Thread(target=delete)
    with database.transaction() as session:
        assert subscriptions.lock_existing(session, [ID]) == {ID}
        thread.start()
        assert deleting.wait(5)
        # Long enough for a delete that does not wait; the assertion holds however slow this machine is.
        assert not deleted.wait(0.2)
    assert deleted.wait(5)
    thread.join()


def test_a_server_nobody_runs_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    database = Database(f"postgresql+psycopg2://u:p@127.0.0.1:{port}/d")
    with pytest.raises(StoreUnavailable):
        database.ping()


def test_a_server_that_says_nothing_is_unavailable_in_time(silent_port: int) -> None:
    database = Database(f"postgresql+psycopg2://u:p@127.0.0.1:{silent_port}/d", bounds=Bounds(connect_s=0.2))
    before = clock.monotonic()
    with pytest.raises(StoreUnavailable):
        database.ping()
    assert clock.monotonic() - before < 3.0


def test_a_silent_host_is_left_for_the_next(silent_port: int, postgres_url: str) -> None:
    server = make_url(postgres_url)
    hosts = f"127.0.0.1:{silent_port},{server.host}:{server.port}"
    url = f"postgres://{server.username}@{hosts}/{server.database}?target_session_attrs=read-write"
    database = Database(url, bounds=Bounds(connect_s=0.2))
    database.ping()
    database.close()


def test_no_host_that_answers_names_each(silent_port: int) -> None:
    database = Database(f"postgres://u@127.0.0.1:{silent_port},127.0.0.1:1/d", bounds=Bounds(connect_s=0.2))
    with pytest.raises(StoreUnavailable, match=f"1:{silent_port}: .*in time; 127.0.0.1:1: .*refused"):
        database.ping()
