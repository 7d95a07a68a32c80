"""The databases that the store's suite runs against."""

from collections.abc import Iterator

import pytest

from tests.harness.databases import emptied, new_database
from webhookd.store import migrating
from webhookd.store.database import Database

KINDS = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture(scope="session", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Which database the test runs against."""
    return str(request.param)


@pytest.fixture(scope="session")
def database_url(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A migrated database of this session."""
    with new_database(kind, tmp_path_factory.mktemp("database")) as url:
        migrating.upgrade(url)
        yield url


@pytest.fixture(scope="session")
def session_database(database_url: str) -> Database:
    """The database of this session, opened once."""
    return Database(database_url)


@pytest.fixture
def database(session_database: Database) -> Iterator[Database]:
    """The database without a row."""
    with emptied(session_database) as database:
        yield database
