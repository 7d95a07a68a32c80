"""The migrations build the tables that the code expects, on both databases, as often as they run."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.pool import NullPool

from tests.harness.databases import new_database
from webhookd.errors import SchemaMismatch
from webhookd.store import migrating, schema
from webhookd.store.access_tables import ApiKeyRow
from webhookd.store.database import Database
from webhookd.store.schema import REVISION
from webhookd.store.tables import exists_on


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
        dialect = connection.dialect.name
        options = {
            "compare_type": True,
            "compare_server_default": True,
            "include_object": lambda declared, *_: exists_on(dialect, declared),
        }
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, ApiKeyRow.metadata) == []


def test_migrating_says_from_where_to_where(bare_url: str) -> None:
    assert str(migrating.upgrade(bare_url, "0003")) == "created the tables, revision 0003"
    before = tables(bare_url)
    assert str(migrating.upgrade(bare_url, "0003")) == "the database is at 0003 already"
    assert tables(bare_url) == before
    assert str(migrating.upgrade(bare_url)) == f"migrated the database from 0003 to {REVISION}"


def test_needed_revision_is_the_last_migration(bare_url: str) -> None:
    migrating.upgrade(bare_url)
    opened = Database(bare_url)
    schema.confirm(opened)
    opened.close()


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (None, "no tables of webhookd .*run: webhookd migrate"),
        ("0003", f"at revision 0003, this version needs {REVISION}; run: webhookd migrate"),
        ("9999", f"at revision 9999, this version needs {REVISION} and does not know 9999: either a newer"),
        ("1975ea83b712", "does not know 1975ea83b712: .* another application"),
    ],
)
def test_other_schema_is_named_with_what_to_do(bare_url: str, found: str | None, says: str) -> None:
    if found is not None:
        migrating.upgrade(bare_url)
        with create_engine(bare_url, poolclass=NullPool).begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = :found"), {"found": found})
    opened = Database(bare_url)
    with pytest.raises(SchemaMismatch, match=says):
        schema.confirm(opened)
    opened.close()
    if not schema.is_known(found):
        with pytest.raises(SchemaMismatch, match=says):
            migrating.upgrade(bare_url)


def test_failed_migration_leaves_nothing(bare_url: str) -> None:
    with create_engine(bare_url, poolclass=NullPool).begin() as connection:
        connection.execute(text("CREATE TABLE dead_letters (other INTEGER)"))
    with pytest.raises(SchemaMismatch, match="dead_letters"):
        migrating.upgrade(bare_url)
    assert tables(bare_url) == {"dead_letters"}


def test_downgrading_removes_every_table(bare_url: str) -> None:
    migrating.upgrade(bare_url)
    migrating.downgrade(bare_url)
    assert tables(bare_url) == {"alembic_version"}


def test_a_downgraded_database_can_be_migrated_again(bare_url: str) -> None:
    migrating.upgrade(bare_url)
    migrating.downgrade(bare_url)
    migrating.upgrade(bare_url)
    assert tables(bare_url) == {*ApiKeyRow.metadata.tables, "alembic_version"}


PAUSED = """
INSERT INTO conditions (subscription_id, health, reason, since, failing_since, last_failure, delivery, delivery_state,
    lag, problems, lost_ranges, topics, delivered, filtered, filter_errors, last_filter_error, dead_lettered, version,
    proven)
VALUES ('s', 'unhealthy', 'intake_failed', 1.5, 1, '', '{"state": "paused", "lanes": 2}', 'paused',
    NULL, '[{"code": "intake_failed"}]', '[]', '[]', 7, 0, 0, '', 0, 3, TRUE)
"""
OWNER = """
INSERT INTO subscriptions (id, version, name, active, url, headers, sources, max_batch_size, max_batch_interval_s,
    max_retries, retry_algorithm, alert_emails, on_exhausted, dead_letter_topic, on_filter_error, inactive_reason,
    changed_at)
VALUES ('s', 3, 'orders', TRUE, 'https://example.com', '[]', '[]', 1, 1, 5, 'fixed_time', '[]', 'pause', '',
    'dead_letter', '', 1)
"""
INCIDENT = "INSERT INTO spells VALUES ('health:s', 1, 0, TRUE, 2, 5, 3, 40)"


def rows(url: str, query: str) -> list[tuple[object, ...]]:
    with create_engine(url, poolclass=NullPool).begin() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def test_renaming_keeps_statuses_and_incidents(bare_url: str) -> None:
    migrating.upgrade(bare_url, "0003")
    with create_engine(bare_url, poolclass=NullPool).begin() as connection:
        for statement in (OWNER, PAUSED, INCIDENT):
            connection.exec_driver_sql(statement)
    before = rows(bare_url, "SELECT delivery_state, delivered, proven FROM conditions")
    migrating.upgrade(bare_url, "0004")
    state, delivered, proven = before[0]
    assert state == "paused"
    assert rows(bare_url, "SELECT delivery_state, delivered, version_delivered FROM subscription_statuses") == [
        ("circuit_open", delivered, proven)
    ]
    codes = str(rows(bare_url, "SELECT reason, delivery, problems FROM subscription_statuses"))
    assert (codes.count("circuit_open"), codes.count("consumer_failed")) == (1, 2)
    assert rows(bare_url, "SELECT subject_key, mails, next_mail_at, unreported_records FROM incidents") == [
        ("health:s", 2, 5, 40)
    ]
    migrating.downgrade(bare_url, "0003")
    assert rows(bare_url, "SELECT delivery_state, delivered, proven FROM conditions") == before
    codes = str(rows(bare_url, "SELECT reason, delivery, problems FROM conditions"))
    assert (codes.count("paused"), codes.count("intake_failed")) == (1, 2)
    assert rows(bare_url, "SELECT speak_at, untold_records FROM spells") == [(5, 40)]
