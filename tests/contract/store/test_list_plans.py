"""Postgres answers the lists and statuses of the API by indexes. Oracle: EXPLAIN, with 10,000 subscriptions.

`make bench-api` measures the same with a million activity rows; the plans need fewer, which are filled in seconds.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from tests.harness.databases import new_database
from tests.harness.many_rows import fill
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

pytestmark = pytest.mark.postgres

SUBSCRIPTIONS, ACTIVITY_EACH = 10_000, 10
OURS = Scope("tenant-3")

Call = Callable[[Session, str], object]


def listed(
    filters: ListFilters | None = None, column: OrderColumn = OrderColumn.ID, *, descending: bool = False
) -> Call:
    wanted = PageRequest(filters=filters or ListFilters(), order=Order(column=column, descending=descending), limit=100)
    return lambda session, _id: subscription_lists.page(session, wanted, ONLINE)


CALLS: dict[str, Call] = {
    **{f"sorted by {column}": listed(column=column) for column in OrderColumn},
    **{f"sorted by {column}, descending": listed(column=column, descending=True) for column in OrderColumn},
    "name": listed(ListFilters(name="subscription 000017")),
    "topic": listed(ListFilters(topic="orders-17")),
    "label": listed(ListFilters(labels={"team": "team-3"})),
    "external id": listed(ListFilters(external_id="external-33")),
    "tenant": listed(ListFilters(tenant="tenant-3")),
    "active": listed(ListFilters(active=True)),
    "inactive": listed(ListFilters(active=False)),
    "healthy": listed(ListFilters(status=ListStatus.HEALTHY)),
    "unhealthy": listed(ListFilters(status=ListStatus.UNHEALTHY)),
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


@pytest.fixture
def plans_of(filled: Database) -> Iterator[Callable[[Scope, Call], list[dict[str, Any]]]]:
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
        statements = [(sql, parameters) for sql, parameters in sent if sql.startswith("SELECT")]
        with filled.transaction() as session:
            found = [
                session.connection().exec_driver_sql(f"EXPLAIN (FORMAT JSON) {sql}", parameters).scalar_one()
                for sql, parameters in statements
            ]
        return [plan[0]["Plan"] for plan in found]

    event.listen(engine, "before_cursor_execute", note)
    yield plans
    event.remove(engine, "before_cursor_execute", note)


@pytest.mark.parametrize("scope", [ALL_TENANTS, OURS], ids=["all", "tenant"])
def test_no_list_reads_a_table_from_end_to_end(
    plans_of: Callable[[Scope, Call], list[dict[str, Any]]], scope: Scope
) -> None:
    found = {
        name: [table for plan in plans_of(scope, call) for table in sequential(plan)] for name, call in CALLS.items()
    }
    assert {name: tables for name, tables in found.items() if tables} == {}


@pytest.mark.parametrize("scope", [ALL_TENANTS, OURS], ids=["all", "tenant"])
def test_no_order_sorts_the_whole_table(plans_of: Callable[[Scope, Call], list[dict[str, Any]]], scope: Scope) -> None:
    orders = {name: call for name, call in CALLS.items() if name.startswith("sorted")}
    assert {name: list(sorts(plan)) for name, call in orders.items() for plan in plans_of(scope, call)[:1]} == {
        name: [] for name in orders
    }
