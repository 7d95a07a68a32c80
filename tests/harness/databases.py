"""Databases of one test session: created, emptied between tests, and removed."""

import atexit
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from tests.harness.secret_keys import SECRET_KEYS
from tests.harness.services import required_service
from webhookd.flow.subscription import Subscription
from webhookd.store import migrating, subscriptions
from webhookd.store.access_tables import ApiKeyRow
from webhookd.store.database import Database


@contextmanager
def new_database(kind: str, folder: Path, *, tables: bool = False) -> Iterator[str]:
    """The URL of a new database: an SQLite file, or a database on the running Postgres.

    It has no tables unless they are asked for. Then it is a copy of a database that this process has migrated: a copy
    takes some milliseconds, the migrations 200.
    """
    if kind == "sqlite":
        url = f"sqlite:///{folder / f'{uuid.uuid4().hex}.db'}"
        if tables:
            create_tables(url)
        yield url
        return
    server = required_service("postgres")
    with _database_on(server, _template(server) if tables else "") as url:
        yield url


@contextmanager
def _database_on(server: str, template: str = "") -> Iterator[str]:
    name = f"webhookd_test_{uuid.uuid4().hex}"
    _administrate(server, f"CREATE DATABASE {name} {f'TEMPLATE {template}' if template else ''}")
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        _administrate(server, f"DROP DATABASE {name} WITH (FORCE)")


@cache
def _template(server: str) -> str:
    """The name of a migrated database on that Postgres, which is dropped at the end of this process."""
    exits = ExitStack()
    atexit.register(exits.close)
    url = exits.enter_context(_database_on(server))
    migrating.upgrade(url)
    return make_url(url).database or ""


def create_tables(url: str) -> None:
    """Create the tables of this version in a new database.

    An SQLite file becomes a copy of one that this process has migrated: a copy takes 1 ms, the migrations 160 ms.
    """
    database = make_url(url)
    if database.get_backend_name() == "sqlite":
        with Path(database.database or "").open("xb") as file:  # raises FileExistsError: it would lose its rows
            file.write(_migrated_file())
    else:
        migrating.upgrade(url)


@cache
def _migrated_file() -> bytes:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "migrated.db"
        migrating.upgrade(f"sqlite:///{file}")
        return file.read_bytes()


@contextmanager
def filled(file: Path, *registered: Subscription) -> Iterator[Database]:
    """A new SQLite file with the tables and these subscriptions, whose secrets it can decrypt."""
    url = f"sqlite:///{file}"
    create_tables(url)
    database = Database(url, secret_keys=SECRET_KEYS)
    with database.transaction() as session:
        for one in registered:
            subscriptions.insert(session, one)
    yield database
    database.close()


@contextmanager
def emptied(database: Database) -> Iterator[Database]:
    """The database without a row; its connections are closed at the end.

    A session opens a database once for all tests: then SQLAlchemy compiles each statement once, and not in each test.
    """
    empty(database)
    yield database
    database.close()


def empty(database: Database) -> None:
    """Delete every row of every table."""
    with database.transaction() as session:
        for table in reversed(ApiKeyRow.metadata.sorted_tables):
            session.execute(table.delete())


def _administrate(url: str, statement: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()
