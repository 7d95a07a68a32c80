"""What migrations lock on Postgres: they rewrite no table, and give up when a table is in use.

Real: Postgres, and the command. Oracles: the files of the tables in Postgres' catalogue, exit code and output.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.pool import NullPool

from command.migrate import migrate
from tests.harness.databases import new_database
from tests.harness.generated_rows import fill, read
from webhookd.store import migrating
from webhookd.store.schema import REVISION, REVISIONS

pytestmark = pytest.mark.postgres


@pytest.fixture
def old_url(tmp_path: Path) -> Iterator[str]:
    """A filled database of the first revision."""
    with new_database("postgres", tmp_path) as url:
        migrating.upgrade(url, REVISIONS[0])
        fill(url)
        yield url


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        yield connection


def run(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(migrate, arguments, env={"WEBHOOKD_DATABASE_URL": url})


def files(url: str) -> dict[int, int]:
    """The file of each table by the table's number, which renaming keeps; a rewritten table has another file."""
    with connected(url) as connection:
        rows = connection.execute(
            text("SELECT oid, relfilenode FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")
        )
        return {row.oid: row.relfilenode for row in rows}


def test_no_migration_rewrites_a_table(old_url: str) -> None:
    before = files(old_url)
    assert len(before) == len(read(old_url)) + 1
    for revision in REVISIONS[1:]:
        migrating.upgrade(old_url, revision)
        after = files(old_url)
        assert {table: after[table] for table in before} == before, revision
        before = after


def test_migration_gives_up_while_a_table_is_in_use_and_succeeds_later(old_url: str) -> None:
    before = read(old_url)
    with connected(old_url) as reader:
        reader.execute(text("SELECT count(*) FROM subscriptions"))
        refused = run(old_url, "--lock-timeout", "0.2")
        assert (refused.exit_code, refused.output) == (
            1,
            "Error: the database in WEBHOOKD_DATABASE_URL cannot be migrated: another transaction uses a table for "
            "more than 0.2 s; nothing was changed. Stop the processes of webhookd, end that transaction, and run it "
            "again\n",
        )
        assert read(old_url) == before
    migrated = run(old_url)
    assert (migrated.exit_code, migrated.output) == (0, f"migrated the database from 0001 to {REVISION}\n")


def test_going_back_needs_a_flag(old_url: str) -> None:
    migrating.upgrade(old_url)
    before = read(old_url)
    refused = run(old_url, "--to", "0004")
    assert refused.exit_code == 1
    assert refused.output.startswith(f"Error: the database is at {REVISION}: going back to 0004 deletes the tables")
    assert read(old_url) == before
    back = run(old_url, "--to", "0004", "--delete-data")
    assert (back.exit_code, back.output) == (0, f"migrated the database from {REVISION} to 0004\n")
    assert "api_keys" not in read(old_url)
    assert run(old_url, "--to", "0004").output == "the database is at 0004 already\n"
