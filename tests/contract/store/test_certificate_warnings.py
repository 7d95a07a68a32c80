"""Warnings about certificates in the database: several processes send one mail, and an earlier version finds none.

A server that shows another certificate each time causes few rows and one mail a day.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Select, create_engine, event, select, text
from sqlalchemy.orm import ORMExecuteState
from sqlalchemy.pool import NullPool

from tests.harness.databases import create_tables, new_database
from tests.harness.subscriptions import ID, OTHER_ID, subscription
from webhookd.flow.alerting.certificate_warning import BETWEEN_MAILS_S, LARGEST_NUMBER, key_prefix
from webhookd.flow.status.endpoint_certificate import EndpointCertificate
from webhookd.flow.status.subscription_status import Health, SubscriptionStatus
from webhookd.store import incidents, migrating, subscription_statuses, subscriptions
from webhookd.store.database import Database
from webhookd.store.tables import IncidentRow
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


def expiring(days: float, id_: str = ID) -> SubscriptionStatus:
    """The status with a certificate for so many days."""
    return replace(STATUS, subscription_id=id_, endpoint_certificate=replace(SOON, expires_at=NOW + days * DAY))


def written(database: Database, status: SubscriptionStatus, now: float) -> None:
    with database.transaction() as session:
        due_alerts.raise_due(session, [status], now)
        subscription_statuses.write(session, [status])


def test_each_subscription_has_few_incidents_about_certificates(database: Database) -> None:
    with database.transaction() as session:
        for id_ in (ID, OTHER_ID):
            subscriptions.insert(session, subscription(id_))
    for day in range(LARGEST_NUMBER + 2):
        written(database, expiring(90.0 + day), NOW)
    written(database, expiring(90.0, OTHER_ID), NOW)
    with database.transaction() as session:
        owners = [key.split(":")[1] for key in session.scalars(select(IncidentRow.subject_key))]
    assert {id_: owners.count(id_) for id_ in (ID, OTHER_ID)} == {ID: LARGEST_NUMBER, OTHER_ID: 1}


def test_mail_about_another_certificate_of_a_subscription_waits_for_a_day(database: Database) -> None:
    def reminded(now: float) -> list[str]:
        with database.transaction() as session:
            return [alert.subject_key.split(":")[1] for alert in due_alerts.remind(session, now)]

    with database.transaction() as session:
        for id_ in (ID, OTHER_ID):
            subscriptions.insert(session, subscription(id_))
    written(database, expiring(10.0), NOW)
    assert reminded(NOW) == [ID]
    written(database, expiring(11.0), NOW + 1.0)
    written(database, expiring(11.0, OTHER_ID), NOW + 1.0)
    assert reminded(NOW + 1.0) == [OTHER_ID], "each subscription waits for its own mails only"
    assert reminded(NOW + BETWEEN_MAILS_S - 1.0) == []
    assert reminded(NOW + BETWEEN_MAILS_S) == [ID]


def test_certificate_that_expires_soon_after_its_mail_keeps_the_next_mail_waiting(database: Database) -> None:
    with database.transaction() as session:
        subscriptions.insert(session, subscription())
    mails = 0
    for hour in range(48):
        now = NOW + hour * 3600.0
        written(database, expiring((hour + 0.5) / 24), now)
        with database.transaction() as session:
            mails += len(due_alerts.remind(session, now))
    assert mails == 2


def test_incidents_of_a_subscription_are_found_by_the_index(database: Database, kind: str) -> None:
    sent: list[ORMExecuteState] = []
    with database.transaction() as session:
        event.listen(session, "do_orm_execute", sent.append)
        assert incidents.numbered(session, [key_prefix(ID)]) == []
        statement = sent[0].statement
        assert isinstance(statement, Select)
        query = statement.compile(session.get_bind(), compile_kwargs={"literal_binds": True})
        if kind == "sqlite":
            plan = [row.detail for row in session.execute(text(f"EXPLAIN QUERY PLAN {query}"))]
        else:
            session.execute(text("SET LOCAL enable_seqscan = off"))  # the table is empty
            plan = [row[0] for row in session.execute(text(f"EXPLAIN {query}"))]
    wanted = "(subject_key>? AND subject_key<?)" if kind == "sqlite" else "Index Cond: ((subject_key >= "
    assert wanted in "\n".join(plan)


def test_way_back_deletes_what_an_earlier_version_cannot_read(bare_url: str) -> None:
    create_tables(bare_url)
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
