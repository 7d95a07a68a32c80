"""Migrations of a filled database: rows in every table of every revision survive all later revisions and the way back.

Oracle: the rows as they were inserted, and the table of names in migration 0004.
"""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from tests.contract.store.test_migrations import OWNER
from tests.harness.databases import new_database
from tests.harness.generated_rows import ROWS, Rows, fill, read
from webhookd.flow.access.caller import DEFAULT_TENANT
from webhookd.flow.subscription import Details, History
from webhookd.store import migrating
from webhookd.store.schema import REVISION, REVISIONS
from webhookd.store.subscription_rows import from_row

RENAMING = "0004"


@pytest.fixture
def bare_url(kind: str, tmp_path: Path) -> Iterator[str]:
    """A database without tables."""
    with new_database(kind, tmp_path) as url:
        yield url


def renamed(rows: Rows, before: str) -> Rows:
    """These rows under the names of the last revision."""
    if before >= RENAMING:
        return rows
    migration = import_module("migrations.versions.0004_field_names")
    tables = dict(migration.TABLES)
    columns = {(table, old): new for table, old, new in migration.COLUMNS}
    return {
        (table := tables.get(old, old)): [
            {columns.get((table, name), name): value for name, value in row.items()} for row in found
        ]
        for old, found in rows.items()
    }


def kept(rows: Rows, of: Rows) -> Rows:
    """What of these rows is in the tables and columns of others."""
    return {
        table: [{name: row[name] for name in like} for row, like in zip(rows[table], found, strict=True)]
        for table, found in of.items()
    }


@pytest.mark.parametrize("revision", REVISIONS[:-1])
def test_rows_mean_the_same_after_all_later_revisions_and_the_way_back(bare_url: str, revision: str) -> None:
    migrating.upgrade(bare_url, revision)
    fill(bare_url)
    inserted = read(bare_url)
    assert {len(rows) for rows in inserted.values()} == {len(ROWS)}
    migrating.upgrade(bare_url)
    upgraded = read(bare_url)
    expected = renamed(inserted, revision)
    assert kept(upgraded, expected) == expected
    migrating.downgrade(bare_url, revision)
    assert read(bare_url) == inserted
    migrating.upgrade(bare_url)
    assert read(bare_url) == upgraded


def test_rows_of_the_last_revision_survive_as_far_as_each_revision_has_their_tables(bare_url: str) -> None:
    migrating.upgrade(bare_url)
    fill(bare_url)
    for revision in reversed(REVISIONS[:-1]):
        migrating.downgrade(bare_url, revision)
        assert {len(rows) for rows in read(bare_url).values()} == {len(ROWS)}, revision
    migrating.upgrade(bare_url)
    migrating.downgrade(bare_url)
    assert read(bare_url) == {}


def test_what_exists_belongs_to_the_default_tenant(bare_url: str) -> None:
    migrating.upgrade(bare_url, "0004")
    fill(bare_url)
    with create_engine(bare_url, poolclass=NullPool).begin() as connection:
        connection.exec_driver_sql(OWNER.replace("'[]', '[]', 1", """'[]', '[{"topic": "orders"}]', 1"""))
    migrating.upgrade(bare_url)
    rows = read(bare_url)
    assert {row["tenant"] for row in (*rows["subscriptions"], *rows["dead_letters"])} == {DEFAULT_TENANT}
    [stored] = [from_row(row) for row in rows["subscriptions"] if row["id"] == "s"]
    assert (stored.details, stored.history) == (Details(), History(created_at=1.0, updated_at=1.0))


def test_list_of_revisions_is_the_list_of_migrations() -> None:
    files = sorted(Path(import_module("migrations.versions").__path__[0]).glob("0*.py"))
    assert tuple(file.name[: len(REVISION)] for file in files) == REVISIONS
