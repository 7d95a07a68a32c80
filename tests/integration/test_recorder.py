"""What ingest has to say reaches a database, and what the database refuses holds up nothing else.

SQLite refuses a number of more than 64 bits: that row is wrong for good.
"""

from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import update

from tests.harness.subscriptions import ID, OTHER_ID, subscription
from webhookd import clock
from webhookd.errors import RowsRefused
from webhookd.flow import activity
from webhookd.flow.activity import Activity
from webhookd.flow.condition import Condition, Health
from webhookd.flow.dead_letter import DeadLetter
from webhookd.flow.position import Partition
from webhookd.store import activity as activity_log
from webhookd.store import conditions, dead_letters, migrating, subscriptions
from webhookd.store.database import Database
from webhookd.store.tables import DeadLetterRow
from workers.ingest.recorder import ACTIVITY_HELD, Recorder

PATIENCE_S = 10.0
REFUSED = 2**70
LIMIT = 20


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A database with two subscriptions."""
    url = f"sqlite:///{tmp_path / 'recorder.db'}"
    migrating.upgrade(url)
    made = Database(url)
    with made.transaction() as session:
        subscriptions.insert(session, subscription(ID))
        subscriptions.insert(session, subscription(OTHER_ID))
    yield made
    made.close()


@pytest.fixture
def recorder(database: Database) -> Recorder:
    """A recorder that was not started."""
    return Recorder(
        database,
        retention_s=86400.0,
        dead_letter_retention_s=86400.0,
        dead_letter_limit=LIMIT,
        wall_clock=clock.wall_clock,
        monotonic=clock.monotonic,
    )


def letter(id_: str, offset: int = 7) -> DeadLetter:
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


def test_refused_letter_holds_up_nothing_else(database: Database, recorder: Recorder) -> None:
    refused, kept = Event(), Event()
    recorder.bury([letter(ID, REFUSED)], refused.set)
    recorder.bury([letter(OTHER_ID)], kept.set)
    recorder.condition(Condition(subscription_id=ID, health=Health.HEALTHY))
    recorder.happened(lambda: [call()])
    recorder.start()
    assert kept.wait(PATIENCE_S)
    recorder.stop(PATIENCE_S)
    with database.transaction() as session:
        assert (dead_letters.count(session, OTHER_ID), len(activity_log.recent(session, ID))) == (1, 1)
        assert conditions.read(session, ID) is not None
    assert not refused.is_set()


def test_letter_that_came_after_a_refused_one_is_kept(recorder: Recorder) -> None:
    first, later = Event(), Event()
    recorder.bury([letter(ID, REFUSED)], lambda: None)
    recorder.bury([letter(OTHER_ID)], first.set)
    recorder.start()
    assert first.wait(PATIENCE_S)
    recorder.bury([letter(OTHER_ID)], later.set)
    assert later.wait(PATIENCE_S)
    recorder.stop(PATIENCE_S)


def test_refused_condition_holds_up_no_other(database: Database, recorder: Recorder) -> None:
    recorder.condition(Condition(subscription_id=ID, health=Health.HEALTHY, lag=REFUSED))
    recorder.condition(Condition(subscription_id=OTHER_ID, health=Health.HEALTHY, lag=7))
    recorder.start()
    recorder.stop(PATIENCE_S)
    with database.transaction() as session:
        other = conditions.read(session, OTHER_ID)
        assert (conditions.read(session, ID), other and other.lag) == (None, 7)


def test_refused_activity_is_counted(database: Database, recorder: Recorder) -> None:
    recorder.happened(lambda: [call(REFUSED)])
    recorder.happened(lambda: [call(REFUSED)])
    recorder.start()
    recorder.stop(PATIENCE_S)
    with database.transaction() as session:
        assert (recorder.activity_dropped, activity_log.recent(session, ID)) == (2, [])


def test_activity_past_the_bound_is_counted(recorder: Recorder) -> None:
    for _ in range(ACTIVITY_HELD + 3):
        recorder.happened(list)
    assert recorder.activity_dropped == 3


def test_letters_past_their_retention_are_purged(database: Database, recorder: Recorder) -> None:
    with database.transaction() as session:
        dead_letters.append(session, [letter(ID), letter(OTHER_ID)])
        old = update(DeadLetterRow).where(DeadLetterRow.subscription_id == ID)
        session.execute(old.values(stored_at=DeadLetterRow.stored_at - 86400.0))
    recorder.happened(lambda: [call()])
    recorder.start()
    recorder.stop(PATIENCE_S)
    with database.transaction() as session:
        assert (dead_letters.count(session, ID), dead_letters.count(session, OTHER_ID)) == (0, 1)


def test_rows_that_are_refused_again_and_again_are_a_fault(database: Database, recorder: Recorder) -> None:
    kept = Event()
    recorder.check()
    recorder.bury([letter(ID, REFUSED)], lambda: None)
    recorder.bury([letter(OTHER_ID)], kept.set)
    recorder.start()
    assert kept.wait(PATIENCE_S)
    with pytest.raises(RowsRefused, match="dead_letters"):
        recorder.check()
    recorder.stop(PATIENCE_S)
    del database


def test_refused_activity_is_dropped_and_no_fault(recorder: Recorder) -> None:
    recorder.happened(lambda: [call(REFUSED)])
    recorder.start()
    recorder.stop(PATIENCE_S)
    recorder.check()
    assert recorder.activity_dropped == 1
