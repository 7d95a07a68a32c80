"""Dead letters read back, counted up to a limit and deleted in parts, on each database."""

from dataclasses import replace

from tests.harness.dead_letters import dead_letter
from tests.harness.subscriptions import ID, OTHER_ID
from webhookd.flow.dead_letter import DeadLetter
from webhookd.flow.offsets.position import Partition
from webhookd.store import dead_letters
from webhookd.store.database import Database
from webhookd.store.dead_letters import PAGE_BYTES, Place

FULL = replace(
    dead_letter(ID, 2**40, key=b"\xff\x00"),
    value=rb'{"t":"\ud83d"} ',
    headers=(("trace", b"\xfe"), ("none", None), ("empty", b"")),
    detail="no",
    status=422,
    attempts=3,
)


def at(topic: str, partition: int, offset: int, size_bytes: int = 1) -> DeadLetter:
    return replace(dead_letter(ID, offset, size_bytes), partition=Partition(topic, partition))


def stored(database: Database, *rows: DeadLetter) -> None:
    with database.transaction() as session:
        dead_letters.append(session, rows)


def places(database: Database, after: Place | None = None, limit: int = 100) -> tuple[list[str], bool]:
    with database.transaction() as session:
        page = dead_letters.page(session, ID, after=after, limit=limit)
    return [f"{one.dead_letter.partition}/{one.dead_letter.offset}" for one in page.dead_letters], page.more


def test_dead_letter_comes_back_as_it_was(database: Database) -> None:
    stored(database, FULL)
    with database.transaction() as session:
        (found,) = dead_letters.page(session, ID, after=None, limit=1).dead_letters
    assert found.dead_letter == FULL


def test_dead_letter_without_key_and_value_comes_back(database: Database) -> None:
    stored(database, replace(FULL, key=None, value=None))
    assert places(database) == ([f"orders/0/{2**40}"], False)


def test_pages_are_in_the_order_of_positions(database: Database) -> None:
    stored(database, at("b", 0, 1), at("a", 10, 1), at("a", 9, 100), at("a", 9, 20), dead_letter(OTHER_ID))
    first = places(database, limit=2)
    assert first == (["a/9/20", "a/9/100"], True)
    assert places(database, ("a", 9, 100), limit=2) == (["a/10/1", "b/0/1"], False)


def test_page_holds_no_more_bytes_than_it_may(database: Database) -> None:
    stored(database, *[at("a", 0, offset, PAGE_BYTES // 2) for offset in range(3)], at("b", 0, 0, 2 * PAGE_BYTES))
    assert places(database) == (["a/0/0", "a/0/1"], True)
    assert places(database, ("a", 0, 2)) == (["b/0/0"], False)


def test_rows_are_counted_up_to_the_limit(database: Database) -> None:
    stored(database, *[dead_letter(ID, offset) for offset in range(5)], dead_letter(OTHER_ID))
    with database.transaction() as session:
        rooms = [dead_letters.free_rows(session, ID, limit) for limit in (7, 5, 3)]
    assert rooms == [2, 0, 0]


def test_dead_letters_that_are_kept_are_known(database: Database) -> None:
    stored(database, dead_letter(ID, 1), dead_letter(OTHER_ID, 2), at("other", 0, 3))
    asked = [dead_letter(ID, offset) for offset in (1, 2, 3)]
    with database.transaction() as session:
        unknown = dead_letters.not_stored(session, asked)
    assert [one.offset for one in unknown] == [2, 3]


def test_deletion_is_of_one_subscription_and_in_parts(database: Database) -> None:
    stored(database, *[dead_letter(ID, offset) for offset in range(5)], dead_letter(OTHER_ID))
    deleted = []
    for _ in range(3):
        with database.transaction() as session:
            deleted.append(dead_letters.delete_some(session, ID, limit=3))
    with database.transaction() as session:
        assert (deleted, dead_letters.count(session, OTHER_ID)) == ([3, 2, 0], 1)
