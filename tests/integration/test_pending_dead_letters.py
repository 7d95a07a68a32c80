"""How many dead letters of a subscription are stored. Oracle: the rows. The clock is the test's."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete, select

from tests.harness.databases import create_tables
from tests.harness.dead_letters import dead_letter
from tests.harness.secret_keys import SECRET_KEYS
from tests.harness.subscriptions import ID, OTHER_ID, subscription
from webhookd.errors import StoreUnavailable
from webhookd.flow.dead_letter import Capacity
from webhookd.store import dead_letters, subscriptions
from webhookd.store.database import Database
from webhookd.store.tables import DeadLetterRow
from workers.ingest.settlement.dead_letter_space import COUNT_AGAIN_S, Limits
from workers.ingest.settlement.pending_dead_letters import PendingDeadLetters

LIMIT = 20


class Scene:
    """Rows of two subscriptions; `free_rows` are the calls with free rows, `committed` whose callbacks ran."""

    def __init__(self, database: Database, tenant_limit: int | None = None) -> None:
        self.database = database
        self.now = 100.0
        limits = Limits(subscription=LIMIT, tenant=tenant_limit)
        self.rows = PendingDeadLetters(database, limits, lambda: self.now)
        self.free_rows: list[tuple[str, int]] = []
        self.full: list[str] = []
        self.committed: list[int] = []
        self.rows.on_free_rows = self._tell

    def adds(self, first: int, count: int, id_: str = ID, tenant: str = "acme") -> None:
        letters = [dead_letter(id_, first + n) for n in range(count)]
        self.rows.add(subscription(id_, tenant=tenant), letters, lambda: self.committed.append(first))

    def writes(self, wait_s: float = 0.0) -> bool:
        self.now += wait_s
        return self.rows.write(accepted)

    def _tell(self, id_: str, capacity: Capacity) -> None:
        self.free_rows.append((id_, capacity.free))
        if not capacity.free:
            self.full.append(capacity.full())

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
    create_tables(url)
    database = Database(url, secret_keys=SECRET_KEYS)
    with database.transaction() as session:
        for id_ in (ID, OTHER_ID):
            subscriptions.insert(session, subscription(id_))
    yield Scene(database)
    database.close()


def test_no_more_than_the_limit_is_stored(scene: Scene) -> None:
    for first in (0, 15, 30, 45):
        scene.adds(first, 15)
        scene.writes()
    assert (scene.stored(), scene.committed, scene.free_rows) == (list(range(LIMIT)), [0], [(ID, 0)])


def test_blocked_dead_letters_are_nothing_to_write(scene: Scene) -> None:
    scene.adds(0, LIMIT + 1)
    assert (scene.writes(), scene.rows.waiting, scene.rows.blocked) == (True, False, True)


def test_subscription_at_its_limit_delays_no_other(scene: Scene) -> None:
    scene.adds(0, LIMIT + 1)
    scene.adds(0, 3, OTHER_ID)
    scene.writes()
    assert (scene.stored(OTHER_ID), scene.free_rows) == ([0, 1, 2], [(ID, 0)])


def test_rows_stored_before_count(scene: Scene) -> None:
    with scene.database.transaction() as session:
        dead_letters.append(session, [dead_letter(ID, 1000 + n) for n in range(LIMIT - 2)])
    scene.adds(0, 5)
    scene.writes()
    assert len(scene.stored()) == LIMIT


def test_deleted_rows_are_free_again(scene: Scene) -> None:
    scene.adds(0, LIMIT + 4)
    scene.writes()
    scene.deletes(LIMIT)
    scene.writes(COUNT_AGAIN_S)
    assert (scene.stored(), scene.committed, scene.free_rows) == (
        list(range(LIMIT, LIMIT + 4)),
        [0],
        [(ID, 0), (ID, LIMIT)],
    )


def test_one_free_row_is_not_enough_for_many(scene: Scene) -> None:
    scene.adds(0, LIMIT + 4)
    scene.writes()
    scene.deletes(1)
    scene.writes(COUNT_AGAIN_S)
    first = scene.free_rows.copy()
    scene.deletes(2)
    scene.writes(COUNT_AGAIN_S)
    assert (first, scene.free_rows[1:]) == ([(ID, 0)], [(ID, 2), (ID, 0)])


def test_rows_are_counted_only_now_and_then(scene: Scene) -> None:
    scene.adds(0, LIMIT + 4)
    scene.writes()
    scene.deletes(LIMIT)
    scene.writes(COUNT_AGAIN_S - 1.0)
    assert scene.stored() == []


def test_free_rows_are_reported_on_request(scene: Scene) -> None:
    scene.rows.request_free_rows(ID, "acme")
    waiting = scene.rows.waiting
    scene.writes()
    assert (waiting, scene.free_rows, scene.rows.waiting) == (True, [(ID, LIMIT)], False)


def test_request_without_free_rows_is_answered_later(scene: Scene) -> None:
    scene.adds(0, LIMIT)
    scene.writes()
    scene.rows.request_free_rows(ID, "acme")
    scene.writes()
    scene.deletes(5)
    scene.writes(COUNT_AGAIN_S)
    assert scene.free_rows == [(ID, 0), (ID, 5)]


def test_dead_letters_of_a_stopped_subscription_are_dropped(scene: Scene) -> None:
    scene.adds(0, LIMIT + 4)
    scene.writes()
    scene.rows.forget(ID)
    scene.deletes(LIMIT)
    scene.writes(COUNT_AGAIN_S)
    assert (scene.stored(), scene.rows.blocked) == ([], False)


def test_dead_letter_with_a_row_takes_no_second_one(scene: Scene) -> None:
    for _ in range(4):
        scene.adds(0, LIMIT - 1)
        scene.writes(COUNT_AGAIN_S)
    scene.adds(LIMIT, 1)
    scene.writes(COUNT_AGAIN_S)
    assert (scene.free_rows, len(scene.stored())) == ([], LIMIT)


def test_dead_letters_wait_while_the_database_is_down(scene: Scene) -> None:
    scene.adds(0, 1)

    def fails(write: Callable[[], None], **facts: object) -> bool:
        raise ConnectionError(write, facts)

    with pytest.raises(ConnectionError):
        scene.rows.write(fails)
    scene.writes()
    assert scene.stored() == [0]


def test_request_waits_while_the_database_is_down(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise StoreUnavailable

    scene.rows.request_free_rows(ID, "acme")
    with monkeypatch.context() as patched:
        patched.setattr(scene.database, "transaction", fails)
        with pytest.raises(StoreUnavailable):
            scene.writes()
    scene.writes()
    assert scene.free_rows == [(ID, LIMIT)]


def test_rows_of_another_process_count_after_a_restart(scene: Scene) -> None:
    scene.adds(0, 1)
    scene.writes()
    scene.rows.forget(ID)
    with scene.database.transaction() as session:
        dead_letters.append(session, [dead_letter(ID, 1000 + n) for n in range(LIMIT - 2)])
    scene.adds(1, 5)
    scene.writes()
    assert len(scene.stored()) == LIMIT


def test_tenants_limit_is_shared_by_its_subscriptions(scene: Scene) -> None:
    shared = Scene(scene.database, tenant_limit=6)
    shared.adds(0, 4)
    shared.adds(0, 4, OTHER_ID)
    shared.writes()
    assert (len(shared.stored()), len(shared.stored(OTHER_ID))) == (4, 2)
    assert (shared.committed, shared.free_rows) == ([0], [(OTHER_ID, 0)])
    assert shared.full == ["6 dead letters of the tenant are stored, which is the limit (WEBHOOKD_TENANT_DEAD_LETTERS)"]


def test_other_tenants_have_their_own_limit(scene: Scene) -> None:
    shared = Scene(scene.database, tenant_limit=6)
    shared.adds(0, 6)
    shared.adds(10, 6, OTHER_ID, "globex")
    shared.writes()
    assert (shared.committed, shared.free_rows) == ([0, 10], [])
    with shared.database.transaction() as session:
        assert session.scalars(select(DeadLetterRow.tenant).distinct().order_by(DeadLetterRow.tenant)).all() == [
            "acme",
            "globex",
        ]


def test_rows_of_other_processes_count_against_the_tenant(scene: Scene) -> None:
    shared, elsewhere = Scene(scene.database, tenant_limit=6), Scene(scene.database, tenant_limit=6)
    shared.adds(0, 1)
    shared.writes()
    elsewhere.adds(0, 5, OTHER_ID)
    elsewhere.writes()
    shared.adds(1, 1)
    shared.writes(COUNT_AGAIN_S)
    assert (shared.stored(), shared.free_rows) == ([0], [(ID, 0)])


def test_free_rows_of_the_tenant_let_its_subscriptions_go_on(scene: Scene) -> None:
    shared = Scene(scene.database, tenant_limit=6)
    shared.adds(0, 6)
    shared.adds(100, 2, OTHER_ID)
    shared.writes()
    shared.deletes(below=3)
    shared.writes(COUNT_AGAIN_S)
    assert (shared.stored(OTHER_ID), shared.committed, shared.free_rows) == (
        [100, 101],
        [0, 100],
        [(OTHER_ID, 0), (OTHER_ID, 3)],
    )


def test_what_a_stopped_subscription_has_waiting_gets_no_row_and_delays_nothing(scene: Scene) -> None:
    scene.adds(0, 3)
    scene.adds(0, 3, OTHER_ID)
    scene.rows.forget(ID)
    scene.writes()
    assert (scene.stored(), scene.stored(OTHER_ID), scene.committed) == ([], [0, 1, 2], [0])


@pytest.mark.parametrize("is_accepted", [True, False])
def test_what_is_written_when_its_subscription_stops_is_neither_copied_nor_tried_again(
    scene: Scene, *, is_accepted: bool
) -> None:
    def write(store: Callable[[], None], **_facts: object) -> bool:
        scene.rows.forget(ID)
        if is_accepted:
            store()
        return is_accepted

    scene.adds(0, 3)
    scene.rows.write(write)
    assert (scene.rows.waiting, scene.committed) == (False, [])


def test_waiting_rows_of_a_stopped_full_subscription_do_not_come_back(scene: Scene) -> None:
    scene.adds(0, LIMIT + 5)
    scene.writes()
    scene.rows.forget(ID)
    scene.deletes(below=LIMIT)
    scene.writes(COUNT_AGAIN_S)
    assert (scene.stored(), scene.rows.blocked) == ([], False)


def test_rows_of_another_version_are_refused_when_they_are_written(scene: Scene) -> None:
    scene.adds(0, 3)
    scene.adds(0, 3, OTHER_ID)
    with scene.database.transaction() as session:
        subscriptions.replace(session, subscription(version=2))
    assert scene.writes()
    assert (scene.stored(), scene.stored(OTHER_ID), scene.committed) == ([], [0, 1, 2], [0])
    assert not scene.rows.waiting


def test_rows_of_a_deleted_subscription_are_refused(scene: Scene) -> None:
    scene.adds(0, 3)
    with scene.database.transaction() as session:
        subscriptions.delete(session, ID)
    assert (scene.writes(), scene.stored(), scene.rows.waiting) == (True, [], False)
