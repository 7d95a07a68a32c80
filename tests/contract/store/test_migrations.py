"""The migrations build the tables that the code expects, on both databases, as often as they run."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect, text
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
