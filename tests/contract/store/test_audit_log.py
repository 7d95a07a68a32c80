"""The audit log on both databases: pages, filters, retention, and that none of them reads the whole table.

Oracle for the last: SQLite's query plan. Postgres' depends on statistics.
"""

import pytest
from sqlalchemy import insert, text

from webhookd.errors import Conflict
from webhookd.flow.access.caller import Caller, Role
from webhookd.store import audit_log
from webhookd.store.access_tables import AuditLogRow
from webhookd.store.audit_log import Change, Criteria, page_query
from webhookd.store.database import Database

CALLER = Caller(role=Role.CLIENT, tenant="acme", key_id="key-1", name="billing \x00", address="192.0.2.1")
ALL = Criteria()
FILTERS = ("subject_id", "subject_kind", "action", "key_id", "tenant")


def row(number: int, at: float) -> dict[str, object]:
    """A row whose values differ from those of the others by its number."""
    who = {"key_id": f"key-{number % 3}", "key_name": "k", "role": "admin", "address": "", "tenant": None}
    what = {"action": "change", "subject_kind": "Subscription", "subject_id": str(number), "before": None}
    return {"at": at, **who, **what, "after": {"number": number}}


def stored(database: Database, *times: float) -> None:
    with database.transaction() as session:
        session.execute(insert(AuditLogRow), [row(number, at) for number, at in enumerate(times)])


def numbers(database: Database, wanted: Criteria = ALL, limit: int = 100) -> list[list[int]]:
    """The rows of all pages."""
    pages: list[list[int]] = []
    after = None
    while True:
        with database.transaction() as session:
            found = audit_log.page(session, wanted, after=after, limit=limit)
        pages.append([int(str(entry.subject_id)) for entry in found.rows])
        if not found.more:
            return pages
        after = (found.rows[-1].at, found.rows[-1].id)


def test_change_is_stored_with_its_caller(database: Database) -> None:
    change = Change(action="delete", subject_kind="Subscription", subject_id="s1", tenant="acme", before={"a": [1]})
    with database.transaction() as session:
        audit_log.record(session, CALLER, change)
    with database.transaction() as session:
        [entry] = audit_log.page(session, Criteria(), limit=1).rows
    assert (entry.key_id, entry.role, entry.address, entry.tenant) == ("key-1", "client", "192.0.2.1", "acme")
    assert (entry.action, entry.subject_id, entry.before, entry.after) == ("delete", "s1", {"a": [1]}, None)


def test_row_is_rolled_back_with_its_change(database: Database) -> None:
    def change() -> None:
        with database.transaction() as session:
            audit_log.record(session, CALLER, Change(action="change", subject_kind="Key", subject_id="k"))
            raise Conflict

    with pytest.raises(Conflict):
        change()
    assert numbers(database) == [[]]


def test_pages_follow_each_other_newest_first_also_within_one_moment(database: Database) -> None:
    stored(database, 10.0, 1764374400.123457, 1764374400.123457, 1764374400.123457, 20.0)
    assert numbers(database, limit=2) == [[3, 2], [1, 4], [0]]


def test_filters_are_combined(database: Database) -> None:
    stored(database, *(float(number) for number in range(12)))
    assert numbers(database, Criteria(equal={"key_id": "key-1"}, since=4.0, until=10.0)) == [[7, 4]]
    assert numbers(database, Criteria(equal={"key_id": "key-1", "subject_id": "4"})) == [[4]]
    assert numbers(database, Criteria(equal={"tenant": "nobody"})) == [[]]


def test_old_rows_are_purged_in_bounded_steps(database: Database) -> None:
    stored(database, 1.0, 2.0, 3.0, 4.0)
    with database.transaction() as session:
        assert [audit_log.purge(session, 4.0, limit=2) for _ in range(3)] == [2, 1, 0]
    assert numbers(database) == [[3]]


@pytest.mark.parametrize("column", ["", *FILTERS])
def test_each_filter_has_an_index_in_the_order_of_the_list(database: Database, kind: str, column: str) -> None:
    if kind != "sqlite":
        pytest.skip("the plan of Postgres depends on statistics")
    wanted = Criteria(equal={column: "x"} if column else {}, since=1.0, until=2.0)
    statement = page_query(wanted, after=(1.5, 7), limit=100)
    with database.transaction() as session:
        bind = session.get_bind()
        sql = str(statement.compile(bind, compile_kwargs={"literal_binds": True}))
        plan = [entry.detail for entry in session.execute(text(f"EXPLAIN QUERY PLAN {sql}"))]
    place = f"{column}=? AND at" if column else "(at"
    assert len(plan) == 1, plan
    assert "USING INDEX ix_audit_log" in plan[0]
    assert place in plan[0]
