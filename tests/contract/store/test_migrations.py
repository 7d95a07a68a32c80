"""The migrations build the tables that the code expects, on both databases, as often as they run."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect
from sqlalchemy.pool import NullPool

from tests.harness.databases import new_database
from webhookd.store import migrating
from webhookd.store.tables import Table


@pytest.fixture
def bare_url(kind: str, tmp_path: Path) -> Iterator[str]:
    """A database without tables."""
    with new_database(kind, tmp_path) as url:
        yield url


def tables(url: str) -> set[str]:
    engine = create_engine(url, poolclass=NullPool)
    return set(inspect(engine).get_table_names())


def test_migrated_tables_equal_the_models(bare_url: str) -> None:
    migrating.upgrade(bare_url)
    with create_engine(bare_url, poolclass=NullPool).connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Table.metadata) == []


def test_migrating_twice_changes_nothing(bare_url: str) -> None:
    migrating.upgrade(bare_url)
    before = tables(bare_url)
    migrating.upgrade(bare_url)
    assert tables(bare_url) == before


def test_downgrading_removes_every_table(bare_url: str) -> None:
    migrating.upgrade(bare_url)
    migrating.downgrade(bare_url)
    assert tables(bare_url) == {"alembic_version"}


def test_a_downgraded_database_can_be_migrated_again(bare_url: str) -> None:
    migrating.upgrade(bare_url)
    migrating.downgrade(bare_url)
    migrating.upgrade(bare_url)
    assert tables(bare_url) == {*Table.metadata.tables, "alembic_version"}
