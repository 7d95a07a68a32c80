"""The rows of ingest reach the database, and a row that the database rejects delays no other row.

SQLite rejects a number of more than 64 bits, every time.
"""

from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import select, update

from tests.harness.databases import create_tables
from tests.harness.secret_keys import SECRET_KEYS
from tests.harness.subscriptions import ID, OTHER_ID, subscription
from webhookd import clock
from webhookd.errors import RowsRefused
from webhookd.flow.access.caller import SERVICE
from webhookd.flow.dead_letter import DeadLetter
from webhookd.flow.offsets.position import Partition
from webhookd.flow.status import activity
from webhookd.flow.status.activity import Activity
from webhookd.flow.status.subscription_status import Health, SubscriptionStatus
from webhookd.store import activity as activity_log
from webhookd.store import audit_log, dead_letters, idempotency_keys, subscription_statuses, subscriptions
from webhookd.store.access_tables import AuditLogRow, IdempotencyKeyRow
from webhookd.store.audit_log import Change
from webhookd.store.database import Database
from webhookd.store.idempotency_keys import KeyedRequest
from webhookd.store.tables import DeadLetterRow
from workers.ingest.settlement.database_writer import DatabaseWriter
from workers.ingest.settlement.pending_activity import MAX_WAITING

PATIENCE_S = 10.0
REFUSED = 2**70
LIMIT = 20


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A database with two subscriptions."""
    url = f"sqlite:///{tmp_path / 'writer.db'}"
    create_tables(url)
    made = Database(url, secret_keys=SECRET_KEYS)
    with made.transaction() as session:
        subscriptions.insert(session, subscription(ID))
        subscriptions.insert(session, subscription(OTHER_ID))
    yield made
    made.close()


@pytest.fixture
def writer(database: Database) -> DatabaseWriter:
    """A writer that was not started."""
    return DatabaseWriter(
        database,
        retention_s=86400.0,
        dead_letter_retention_s=86400.0,
        audit_retention_s=86400.0,
        dead_letter_limit=LIMIT,
        wall_clock=clock.wall_clock,
        monotonic=clock.monotonic,
    )


def dead_letter(id_: str, offset: int = 7) -> DeadLetter:
    return DeadLetter(
        subscription_id=id_,
        partition=Partition("orders", 0),
        offset=offset,
        timestamp_ms=0,
        key=None,
        value=b"{",
        headers=(),
        cause="not_json",
    )


def call(calls: int = 1) -> Activity:
    return Activity(subscription_id=ID, at=clock.wall_clock(), event=activity.Event.API_CALL, calls=calls)


def test_rejected_dead_letter_delays_nothing_else(database: Database, writer: DatabaseWriter) -> None:
    refused, kept = Event(), Event()
    writer.add_dead_letters(subscription(ID), [dead_letter(ID, REFUSED)], refused.set)
    writer.add_dead_letters(subscription(OTHER_ID), [dead_letter(OTHER_ID)], kept.set)
    writer.set_status(SubscriptionStatus(subscription_id=ID, health=Health.HEALTHY))
    writer.add_activity(lambda: [call()])
    writer.start()
    assert kept.wait(PATIENCE_S)
    writer.stop(PATIENCE_S)
    with database.transaction() as session:
        assert (dead_letters.count(session, OTHER_ID), len(activity_log.recent(session, ID))) == (1, 1)
        assert subscription_statuses.read(session, ID) is not None
    assert not refused.is_set()


def test_dead_letter_after_a_rejected_one_is_stored(writer: DatabaseWriter) -> None:
    first, later = Event(), Event()
    writer.add_dead_letters(subscription(ID), [dead_letter(ID, REFUSED)], lambda: None)
    writer.add_dead_letters(subscription(OTHER_ID), [dead_letter(OTHER_ID)], first.set)
    writer.start()
    assert first.wait(PATIENCE_S)
    writer.add_dead_letters(subscription(OTHER_ID), [dead_letter(OTHER_ID)], later.set)
    assert later.wait(PATIENCE_S)
    writer.stop(PATIENCE_S)


def test_rejected_status_delays_no_other(database: Database, writer: DatabaseWriter) -> None:
    writer.set_status(SubscriptionStatus(subscription_id=ID, health=Health.HEALTHY, lag=REFUSED))
    writer.set_status(SubscriptionStatus(subscription_id=OTHER_ID, health=Health.HEALTHY, lag=7))
    writer.start()
    writer.stop(PATIENCE_S)
    with database.transaction() as session:
        other = subscription_statuses.read(session, OTHER_ID)
        assert (subscription_statuses.read(session, ID), other and other.lag) == (None, 7)


def test_rejected_deactivation_delays_no_other(database: Database, writer: DatabaseWriter) -> None:
    writer.deactivate(subscription(ID, version=REFUSED), "gone")
    writer.deactivate(subscription(OTHER_ID), "gone")
    writer.start()
    writer.stop(PATIENCE_S)
    with database.transaction() as session:
        assert [subscriptions.find(session, id_).active for id_ in (ID, OTHER_ID)] == [True, False]


def test_rejected_consent_delays_no_other(database: Database, writer: DatabaseWriter) -> None:
    writer.set_verified(subscription(ID, version=REFUSED), None)
    writer.set_verified(subscription(OTHER_ID), 60)
    writer.start()
    writer.stop(PATIENCE_S)
    with database.transaction() as session:
        found = [subscriptions.find(session, id_).destination for id_ in (ID, OTHER_ID)]
        assert [(bool(one.verified), one.granted_per_minute) for one in found] == [(False, None), (True, 60)]
    with pytest.raises(RowsRefused):
        writer.check()


def test_rejected_activity_is_counted(database: Database, writer: DatabaseWriter) -> None:
    writer.add_activity(lambda: [call(REFUSED)])
    writer.add_activity(lambda: [call(REFUSED)])
    writer.start()
    writer.stop(PATIENCE_S)
    with database.transaction() as session:
        assert (writer.activity_dropped, activity_log.recent(session, ID)) == (2, [])


def test_activity_above_the_bound_is_counted(writer: DatabaseWriter) -> None:
    for _ in range(MAX_WAITING + 3):
        writer.add_activity(list)
    assert writer.activity_dropped == 3


def test_dead_letters_are_purged_after_their_retention(database: Database, writer: DatabaseWriter) -> None:
    with database.transaction() as session:
        dead_letters.append(session, [dead_letter(ID), dead_letter(OTHER_ID)])
        old = update(DeadLetterRow).where(DeadLetterRow.subscription_id == ID)
        session.execute(old.values(stored_at=DeadLetterRow.stored_at - 86400.0))
    writer.add_activity(lambda: [call()])
    writer.start()
    writer.stop(PATIENCE_S)
    with database.transaction() as session:
        assert (dead_letters.count(session, ID), dead_letters.count(session, OTHER_ID)) == (0, 1)


def test_old_audit_rows_and_idempotency_keys_are_purged(database: Database, writer: DatabaseWriter) -> None:
    now = clock.wall_clock()
    with database.transaction() as session:
        for key in ("old", "new"):
            audit_log.record(session, SERVICE, Change(action="change", subject_kind="Test", subject_id=key))
            idempotency_keys.claim(session, KeyedRequest(owner="", key=key, digest=""), now)
        session.execute(update(AuditLogRow).where(AuditLogRow.subject_id == "old").values(at=now - 86400.0))
        old_key = update(IdempotencyKeyRow).where(IdempotencyKeyRow.key == "old")
        session.execute(old_key.values(created_at=now - idempotency_keys.KEPT_S))
    writer.add_activity(lambda: [call()])
    writer.start()
    writer.stop(PATIENCE_S)
    with database.transaction() as session:
        assert session.scalars(select(AuditLogRow.subject_id)).all() == ["new"]
        assert session.scalars(select(IdempotencyKeyRow.key)).all() == ["new"]


def test_rows_that_stay_rejected_are_a_fault(database: Database, writer: DatabaseWriter) -> None:
    kept = Event()
    writer.check()
    writer.add_dead_letters(subscription(ID), [dead_letter(ID, REFUSED)], lambda: None)
    writer.add_dead_letters(subscription(OTHER_ID), [dead_letter(OTHER_ID)], kept.set)
    writer.start()
    assert kept.wait(PATIENCE_S)
    with pytest.raises(RowsRefused, match="dead_letters"):
        writer.check()
    writer.stop(PATIENCE_S)
    del database


def test_rejected_activity_is_dropped_and_no_fault(writer: DatabaseWriter) -> None:
    writer.add_activity(lambda: [call(REFUSED)])
    writer.start()
    writer.stop(PATIENCE_S)
    writer.check()
    assert writer.activity_dropped == 1
