"""Postgres answers the lists and statuses of the API by indexes. Oracle: EXPLAIN, with 10,000 subscriptions.

`make bench-api` measures the same with a million activity rows; the plans need fewer, which are filled in seconds.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.orm import Session

from tests.harness.databases import new_database
from tests.harness.secret_keys import SECRET_KEYS
from webhookd.flow.access.caller import ALL_TENANTS, Scope
from webhookd.flow.control.administration import ONLINE
from webhookd.store import (
    activity,
    dead_letters,
    mail_failures,
    migrating,
    subscription_lists,
    subscription_statuses,
    subscriptions,
    tenant_usage,
)
from webhookd.store.database import Database
from webhookd.store.engines import Bounds
from webhookd.store.subscription_lists import ListFilters, ListStatus, Order, OrderColumn, PageRequest
from webhookd_load_test.benchmarks.rig.many_rows import fill

pytestmark = pytest.mark.postgres

SUBSCRIPTIONS, ACTIVITY_EACH = 10_000, 10
OURS = Scope("tenant-3")

Call = Callable[[Session, str], object]
Plans = Callable[[Scope, Call], list[dict[str, Any]]]


def listed(
    filters: ListFilters | None = None, column: OrderColumn = OrderColumn.ID, *, descending: bool = False
) -> Call:
    wanted = PageRequest(filters=filters or ListFilters(), order=Order(column=column, descending=descending), limit=100)
    return lambda session, _id: subscription_lists.page(session, wanted, ONLINE)


FILTERS: dict[str, ListFilters] = {
    "all": ListFilters(),
    "name": ListFilters(name="subscription 000017"),
    "topic": ListFilters(topic="orders-17"),
    "label": ListFilters(labels={"team": "team-3"}),
    "external id": ListFilters(external_id="external-33"),
    "tenant": ListFilters(tenant="tenant-3"),
    "active": ListFilters(active=True),
    "not active": ListFilters(active=False),
    **{status.value: ListFilters(status=status) for status in ListStatus},
}

LISTS: dict[str, Call] = {
    f"{name}, sorted by {sign}{column}": listed(filters, column, descending=sign == "-")
    for name, filters in FILTERS.items()
    for column in OrderColumn
    for sign in ("", "-")
}
"""Each filter in each order."""

CALLS: dict[str, Call] = {
    **LISTS,
    "one subscription": subscriptions.find,
    "its summary": subscriptions.summary,
    "its status": subscription_statuses.read,
    "its activity": activity.recent,
    "its dead letters": lambda session, id_: dead_letters.page(session, id_, after=("orders", 0, 3), limit=20),
    "number of its dead letters": dead_letters.count,
    "its mails": lambda session, id_: mail_failures.read(session, id_, ["ops@example.com"]),
    "number of a tenant's subscriptions": lambda session, _id: tenant_usage.subscriptions(session, "tenant-3"),
    "number of a tenant's dead letters": lambda session, _id: dead_letters.free_rows_of_tenant(
        session, "tenant-3", 1_000_000
    ),
}
"""Each query of a list or a status."""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A database of this module with many rows; every connection is bounded as the filling needs it."""
    with new_database("postgres", tmp_path_factory.mktemp("plans")) as url:
        migrating.upgrade(url)
        database = Database(url, bounds=Bounds(statement_s=60.0, silence_s=60.0), secret_keys=SECRET_KEYS)
        fill(database, SUBSCRIPTIONS, ACTIVITY_EACH)
        yield database
        database.close()


def sequential(plan: dict[str, Any]) -> Iterator[str]:
    """The tables that a plan reads from their first row to their last."""
    if plan["Node Type"] == "Seq Scan":
        yield plan["Relation Name"]
    for inner in plan.get("Plans", []):
        yield from sequential(inner)


def sorts(plan: dict[str, Any]) -> Iterator[float]:
    """How many rows each sort of a plan is expected to get."""
    if plan["Node Type"] == "Sort":
        yield plan["Plans"][0]["Plan Rows"]
    for inner in plan.get("Plans", []):
        yield from sorts(inner)


def explained(session: Session, statements: Sequence[tuple[str, Any]]) -> Iterator[dict[str, Any]]:
    """The plan of each query, under the settings that were sent before it."""
    for sql, parameters in statements:
        if sql.startswith("SET LOCAL"):
            session.connection().exec_driver_sql(sql)
        if sql.startswith("SELECT"):
            plan = session.connection().exec_driver_sql(f"EXPLAIN (FORMAT JSON) {sql}", parameters).scalar_one()
            yield plan[0]["Plan"]


@pytest.fixture
def plans_of(filled: Database) -> Iterator[Plans]:
    """Runs a query of a subscription of the first tenant, and returns the plan of each statement."""
    sent: list[tuple[str, Any]] = []
    engine = filled._engine  # what it sends is explained

    def note(_connection: object, _cursor: object, sql: str, parameters: object, *_: object) -> None:
        sent.append((sql, parameters))

    def plans(scope: Scope, call: Call) -> list[dict[str, Any]]:
        with filled.transaction(OURS) as session:
            id_ = subscription_lists.page(session, PageRequest(limit=1), ONLINE).rows[0].summary.id
        sent.clear()
        with filled.transaction(scope) as session:
            call(session, id_)
        with filled.transaction() as session:
            return list(explained(session, list(sent)))

    event.listen(engine, "before_cursor_execute", note)
    yield plans
    event.remove(engine, "before_cursor_execute", note)


@pytest.mark.parametrize("scope", [ALL_TENANTS, OURS], ids=["all", "tenant"])
def test_no_list_reads_a_table_from_end_to_end(plans_of: Plans, scope: Scope) -> None:
    assert read_whole(plans_of, scope, CALLS) == {}


@pytest.mark.parametrize("scope", [ALL_TENANTS, OURS], ids=["all", "tenant"])
def test_no_order_sorts_the_whole_table(plans_of: Plans, scope: Scope) -> None:
    orders = {name: call for name, call in LISTS.items() if name.startswith("all,")}
    assert {name: list(sorts(plan)) for name, call in orders.items() for plan in plans_of(scope, call)[:1]} == {
        name: [] for name in orders
    }


@pytest.mark.parametrize("unhealthy", [1, SUBSCRIPTIONS], ids=["one", "all"])
def test_no_list_reads_a_table_from_end_to_end_whatever_number_is_unhealthy(
    filled: Database, plans_of: Plans, unhealthy: int
) -> None:
    # Last in this module: it changes the rows.
    set_unhealthy(filled, unhealthy)
    lists = {name: call for name, call in LISTS.items() if name.startswith(tuple(ListStatus))}
    assert {scope: read_whole(plans_of, scope, lists) for scope in (ALL_TENANTS, OURS)} == {ALL_TENANTS: {}, OURS: {}}


def read_whole(plans_of: Plans, scope: Scope, calls: dict[str, Call]) -> dict[str, list[str]]:
    """The tables that calls read from end to end, by the name of the call."""
    found = {
        name: [table for plan in plans_of(scope, call) for table in sequential(plan)] for name, call in calls.items()
    }
    return {name: tables for name, tables in found.items() if tables}


def set_unhealthy(database: Database, number: int) -> None:
    """Make this number of subscriptions unhealthy and all others healthy."""
    chosen = "subscription_id IN (SELECT id FROM subscriptions ORDER BY name LIMIT :number)"
    change = f"UPDATE subscription_statuses SET health = CASE WHEN {chosen} THEN 'unhealthy' ELSE 'healthy' END"  # noqa: S608
    for statement in (change, "ANALYZE subscription_statuses"):
        with database.transaction() as session:
            session.execute(text(statement), {"number": number} if statement == change else {})
