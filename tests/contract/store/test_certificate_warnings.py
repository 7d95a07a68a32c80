"""Warnings about certificates in the database: several processes send one mail, and an earlier version finds none."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from tests.harness.databases import new_database
from tests.harness.subscriptions import ID, subscription
from webhookd.flow.status.endpoint_certificate import EndpointCertificate
from webhookd.flow.status.subscription_status import Health, SubscriptionStatus
from webhookd.store import migrating, subscription_statuses, subscriptions
from webhookd.store.database import Database
from workers.ingest.alerting import due_alerts

DAY = 86400.0
NOW = 1_700_000_000.0
SOON = EndpointCertificate(host="example.com", port=443, begins_at=0.0, expires_at=NOW + 10 * DAY, seen_at=NOW)
STATUS = SubscriptionStatus(subscription_id=ID, health=Health.HEALTHY, version=1, endpoint_certificate=SOON)
PROCESSES = 4

INSERTED = {
    "incidents": "INSERT INTO incidents VALUES ('{key}', 1, 0, FALSE, 0, 5, 0, 0)",
    "mail_outbox": """
        INSERT INTO mail_outbox (subject_key, kind, message_id, recipients, subject, body, created_at, tries)
        VALUES ('{key}', 'k', '{key}', '[]', 's', 'b', 1, 0)
    """,
}


@pytest.fixture
def bare_url(kind: str, tmp_path: Path) -> Iterator[str]:
    """A database without tables."""
    with new_database(kind, tmp_path) as url:
        yield url


def test_processes_that_check_at_once_send_one_mail(database: Database) -> None:
    with database.transaction() as session:
        subscriptions.insert(session, subscription())
    together = threading.Barrier(PROCESSES)

    def writes_and_checks(_process: int) -> int:
        together.wait(30.0)
        with database.transaction() as session:
            due_alerts.raise_due(session, [STATUS], NOW)
            subscription_statuses.write(session, [STATUS])
        together.wait(30.0)
        with database.transaction() as session:
            return len(due_alerts.remind(session, NOW))

    with ThreadPoolExecutor(PROCESSES) as pool:
        assert sorted(pool.map(writes_and_checks, range(PROCESSES))) == [0] * (PROCESSES - 1) + [1]


def test_way_back_deletes_what_an_earlier_version_cannot_read(bare_url: str) -> None:
    migrating.upgrade(bare_url)
    keys = [f"subscription:{ID}", f"certificate:{ID}:1700000000"]
    with create_engine(bare_url, poolclass=NullPool).begin() as connection:
        for statement in INSERTED.values():
            for key in keys:
                connection.execute(text(statement.format(key=key).replace(":", r"\:")))
    migrating.downgrade(bare_url, "0006")
    with create_engine(bare_url, poolclass=NullPool).begin() as connection:
        for table in INSERTED:
            found = connection.execute(text(f"SELECT subject_key FROM {table}"))  # noqa: S608  # a name of this file
            assert list(found.scalars()) == keys[:1], table
