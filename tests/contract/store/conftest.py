"""The databases that the store's suite runs against."""

from collections.abc import Iterator

import pytest

from tests.harness.databases import empty, new_database
from tests.harness.secret_keys import SECRET_KEYS
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


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The database without a row."""
    opened = Database(database_url, secret_keys=SECRET_KEYS)
    empty(opened)
    yield opened
    opened.close()
