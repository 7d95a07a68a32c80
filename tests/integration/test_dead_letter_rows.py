"""How many dead letters of a subscription are stored, whatever comes. Oracle: the rows. The clock is the test's."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete, select

from tests.harness.dead_letters import dead_letter
from tests.harness.subscriptions import ID, OTHER_ID
from webhookd.errors import StoreUnavailable
from webhookd.store import dead_letters, migrating
from webhookd.store.database import Database
from webhookd.store.tables import DeadLetterRow
from workers.ingest.settlement.dead_letter_rows import COUNT_AGAIN_S, DeadLetterRows

LIMIT = 20


class Scene:
    """Rows of two subscriptions; `told` is what was heard of room, `safe` whose callbacks ran."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now = 100.0
        self.rows = DeadLetterRows(database, LIMIT, lambda: self.now)
        self.told: list[tuple[str, int]] = []
        self.safe: list[int] = []
        self.rows.told = lambda id_, free: self.told.append((id_, free))

    def adds(self, first: int, count: int, id_: str = ID) -> None:
        self.rows.add([dead_letter(id_, first + n) for n in range(count)], lambda: self.safe.append(first))

    def writes(self, wait_s: float = 0.0) -> bool:
        self.now += wait_s
        return self.rows.write(accepted)

    def stored(self, id_: str = ID) -> list[int]:
        query = select(DeadLetterRow.offset).where(DeadLetterRow.subscription_id == id_).order_by(DeadLetterRow.offset)
        with self.database.transaction() as session:
            return list(session.scalars(query))

    def deletes(self, below: int) -> None:
        with self.database.transaction() as session:
            session.execute(delete(DeadLetterRow).where(DeadLetterRow.offset < below))


def accepted(write: Callable[[], None], **_facts: object) -> bool:
    write()
    return True


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    url = f"sqlite:///{tmp_path / 'rows.db'}"
    migrating.upgrade(url)
    database = Database(url)
    yield Scene(database)
    database.close()


def test_no_more_than_the_limit_is_stored(scene: Scene) -> None:
    for first in (0, 15, 30, 45):
        scene.adds(first, 15)
        scene.writes()
    assert (scene.stored(), scene.safe, scene.told) == (list(range(LIMIT)), [0], [(ID, 0)])


def test_what_waits_for_room_is_nothing_to_do(scene: Scene) -> None:
    scene.adds(0, LIMIT + 1)
    assert (scene.writes(), scene.rows.waiting, scene.rows.blocked) == (True, False, True)


def test_subscription_without_room_holds_up_no_other(scene: Scene) -> None:
    scene.adds(0, LIMIT + 1)
    scene.adds(0, 3, OTHER_ID)
    scene.writes()
    assert (scene.stored(OTHER_ID), scene.told) == ([0, 1, 2], [(ID, 0)])


def test_rows_that_were_there_before_count(scene: Scene) -> None:
    with scene.database.transaction() as session:
        dead_letters.append(session, [dead_letter(ID, 1000 + n) for n in range(LIMIT - 2)])
    scene.adds(0, 5)
    scene.writes()
    assert len(scene.stored()) == LIMIT


def test_deleted_rows_make_room(scene: Scene) -> None:
    scene.adds(0, LIMIT + 4)
    scene.writes()
    scene.deletes(LIMIT)
    scene.writes(COUNT_AGAIN_S)
    assert (scene.stored(), scene.safe, scene.told) == (list(range(LIMIT, LIMIT + 4)), [0], [(ID, 0), (ID, LIMIT)])


def test_one_deleted_row_is_no_room_for_many(scene: Scene) -> None:
    scene.adds(0, LIMIT + 4)
    scene.writes()
    scene.deletes(1)
    scene.writes(COUNT_AGAIN_S)
    first = scene.told.copy()
    scene.deletes(2)
    scene.writes(COUNT_AGAIN_S)
    assert (first, scene.told[1:]) == ([(ID, 0)], [(ID, 2), (ID, 0)])


def test_rows_are_counted_only_now_and_then(scene: Scene) -> None:
    scene.adds(0, LIMIT + 4)
    scene.writes()
    scene.deletes(LIMIT)
    scene.writes(COUNT_AGAIN_S - 1.0)
    assert scene.stored() == []


def test_room_is_told_where_it_was_asked_for(scene: Scene) -> None:
    scene.rows.request_free_rows(ID)
    waiting = scene.rows.waiting
    scene.writes()
    assert (waiting, scene.told, scene.rows.waiting) == (True, [(ID, LIMIT)], False)


def test_room_that_was_asked_for_in_vain_is_told_later(scene: Scene) -> None:
    scene.adds(0, LIMIT)
    scene.writes()
    scene.rows.request_free_rows(ID)
    scene.writes()
    scene.deletes(5)
    scene.writes(COUNT_AGAIN_S)
    assert scene.told == [(ID, 0), (ID, 5)]


def test_what_waits_of_a_stopped_subscription_is_forgotten(scene: Scene) -> None:
    scene.adds(0, LIMIT + 4)
    scene.writes()
    scene.rows.forget(ID)
    scene.deletes(LIMIT)
    scene.writes(COUNT_AGAIN_S)
    assert (scene.stored(), scene.rows.blocked) == ([], False)


def test_dead_letter_that_is_stored_already_takes_no_room_for_long(scene: Scene) -> None:
    for _ in range(4):
        scene.adds(0, LIMIT - 1)
        scene.writes(COUNT_AGAIN_S)
    scene.adds(LIMIT, 1)
    scene.writes(COUNT_AGAIN_S)
    assert (scene.told, len(scene.stored())) == ([], LIMIT)


def test_database_that_is_away_keeps_what_waits(scene: Scene) -> None:
    scene.adds(0, 1)

    def away(write: Callable[[], None], **facts: object) -> bool:
        raise ConnectionError(write, facts)

    with pytest.raises(ConnectionError):
        scene.rows.write(away)
    scene.writes()
    assert scene.stored() == [0]


def test_question_is_kept_while_the_database_is_away(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise StoreUnavailable

    scene.rows.request_free_rows(ID)
    with monkeypatch.context() as patched:
        patched.setattr(scene.database, "transaction", away)
        with pytest.raises(StoreUnavailable):
            scene.writes()
    scene.writes()
    assert scene.told == [(ID, LIMIT)]


def test_rows_that_another_process_wrote_count_after_a_return(scene: Scene) -> None:
    scene.adds(0, 1)
    scene.writes()
    scene.rows.forget(ID)
    with scene.database.transaction() as session:
        dead_letters.append(session, [dead_letter(ID, 1000 + n) for n in range(LIMIT - 2)])
    scene.adds(1, 5)
    scene.writes()
    assert len(scene.stored()) == LIMIT
