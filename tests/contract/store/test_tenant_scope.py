"""A transaction of one tenant reaches no row of another, whatever statement it sends.

Oracle: the rows of two tenants that are alike, and the tables of the metadata. FUNCTIONS has every function of the
store that the API calls in a tenant's transaction; a test compares it with the code of the API.
"""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import column, delete, func, insert, select, table, text, update
from sqlalchemy.orm import Session, aliased

from tests.harness.dead_letters import dead_letter
from tests.harness.subscriptions import ID, OTHER_ID, subscription
from webhookd.errors import NotFound
from webhookd.flow.access.caller import Scope
from webhookd.flow.alerting.mail import MailResult, RecipientResult
from webhookd.flow.control.administration import ONLINE
from webhookd.flow.destination import Destination
from webhookd.flow.status.activity import Activity, Event
from webhookd.flow.status.subscription_status import Health, SubscriptionStatus
from webhookd.flow.subscription import Details, History
from webhookd.store import (
    activity,
    dead_letters,
    mail_failures,
    subscription_counts,
    subscription_lists,
    subscription_statuses,
    subscriptions,
    tenant_usage,
)
from webhookd.store.access_tables import ApiKeyRow, AuditLogRow
from webhookd.store.database import Database
from webhookd.store.subscription_lists import ListFilters, ListStatus, PageRequest
from webhookd.store.tables import ActivityRow, DeadLetterRow, SubscriptionRow, SubscriptionStatusRow
from webhookd.store.tenant_scope import OPERATOR_TABLES, SHARED_TABLES, TENANT_TABLES, OutsideTenant

API = Path(__file__).resolve().parents[3] / "api"

HEALTH = API / "resources" / "health"
"""It reads in transactions of all tenants: its counts are for operators."""

OURS, THEIRS = Scope("ours"), Scope("theirs")
"""ID belongs to the first, OTHER_ID to the second."""

KNOWN_AS = Details(external_id="crm-1")
"""Both subscriptions have it: an external id is unique per tenant."""

Call = Callable[[Session], object]


def activity_of(id_: str) -> Activity:
    return Activity(subscription_id=id_, at=1.0, event=Event.ACTIVE)


@pytest.fixture
def filled(database: Database) -> Database:
    """The same rows for a subscription of each tenant."""
    with database.transaction() as session:
        for id_, scope in ((ID, OURS), (OTHER_ID, THEIRS)):
            subscriptions.insert(session, subscription(id_, tenant=scope.tenant, details=KNOWN_AS))
            subscription_statuses.write(session, [SubscriptionStatus(subscription_id=id_, health=Health.UNHEALTHY)])
            activity.append(session, [activity_of(id_)])
            dead_letters.append(session, [dead_letter(id_)], str(scope.tenant))
            failure = RecipientResult(recipient="a@b.example", result=MailResult.REFUSED, detail="no")
            mail_failures.note(session, id_, [failure], 5.0)
    return database


def raises_not_found(call: Call) -> Call:
    def expected(session: Session) -> object:
        with pytest.raises(NotFound):
            call(session)
        return None

    return expected


def listed(filters: ListFilters) -> Call:
    wanted = PageRequest(filters=filters, limit=10)
    return lambda session: [row.summary.id for row in subscription_lists.page(session, wanted, ONLINE).rows]


WITHOUT_SECRETS = subscription(OTHER_ID, destination=Destination(url="https://example.com"))
CHANGED_DETAILS = subscription(OTHER_ID, tenant="ours", history=History(revision=2))

FUNCTIONS: dict[str, list[tuple[Call, object]]] = {
    "subscriptions.find": [(raises_not_found(lambda session: subscriptions.find(session, OTHER_ID)), None)],
    "subscriptions.load": [(lambda session: subscriptions.load(session, [OTHER_ID]), {})],
    "subscriptions.summary": [(raises_not_found(lambda session: subscriptions.summary(session, OTHER_ID)), None)],
    "subscriptions.delete": [(raises_not_found(lambda session: subscriptions.delete(session, OTHER_ID)), None)],
    "subscriptions.replace": [
        (raises_not_found(lambda s: subscriptions.replace(s, subscription(OTHER_ID, version=2, tenant="ours"))), None)
    ],
    "subscriptions.replace_details": [
        (raises_not_found(lambda session: subscriptions.replace_details(session, CHANGED_DETAILS)), None)
    ],
    "subscriptions.sealed": [(lambda session: subscriptions.sealed(session, WITHOUT_SECRETS, None), WITHOUT_SECRETS)],
    "subscriptions.is_current": [(lambda session: subscriptions.is_current(session, OTHER_ID, 1), False)],
    "subscriptions.lock": [(lambda session: subscriptions.lock(session, OTHER_ID), None)],
    "subscriptions.confirm_external_id": [
        (
            lambda session: subscriptions.confirm_external_id(session, subscription(tenant="theirs", details=KNOWN_AS)),
            None,
        )
    ],
    "subscription_lists.page": [
        (listed(ListFilters()), [ID]),
        (listed(ListFilters(tenant="theirs")), []),
        (listed(ListFilters(topic="orders")), [ID]),
        (listed(ListFilters(status=ListStatus.UNHEALTHY)), [ID]),
        (listed(ListFilters(status=ListStatus.HEALTHY)), []),
        (listed(ListFilters(labels={"team": "a"})), []),
    ],
    "subscription_statuses.read": [(lambda session: subscription_statuses.read(session, OTHER_ID), None)],
    "activity.recent": [(lambda session: activity.recent(session, OTHER_ID), [])],
    "activity.append": [(lambda session: activity.append(session, [activity_of(OTHER_ID)]), None)],
    "dead_letters.page": [
        (lambda session: dead_letters.page(session, OTHER_ID, after=None, limit=5), dead_letters.Page([], more=False))
    ],
    "dead_letters.count": [(lambda session: dead_letters.count(session, OTHER_ID), 0)],
    "dead_letters.delete_some": [
        (lambda session: dead_letters.delete_some(session, OTHER_ID), 0),
        (lambda session: dead_letters.delete_some(session, OTHER_ID, 9e9), 0),
    ],
    "mail_failures.read": [(lambda session: mail_failures.read(session, OTHER_ID, ["a@b.example"]), [])],
    "mail_failures.keep": [(lambda session: mail_failures.keep(session, OTHER_ID, ()), None)],
    "tenant_usage.subscriptions": [(lambda session: tenant_usage.subscriptions(session, "theirs"), 0)],
}
"""Each function with calls of the first tenant that name rows of the second, and what they return."""

WITHOUT_ROWS = {
    "subscriptions.insert": "REFUSED has what it must not insert",
    "subscriptions.opened": "it reads no table",
    "tenant_usage.lock_registrations": "it reads no table",
}
"""Functions that the API calls and that return no rows of a tenant."""

REFUSED: dict[str, Call] = {
    "a text": lambda session: session.execute(text("SELECT * FROM subscriptions")),
    "a text in another case": lambda session: session.execute(text("DELETE FROM/**/Activity")),
    "a string for the driver": lambda session: session.connection().exec_driver_sql('SELECT id FROM "subscriptions"'),
    "columns of the table": lambda session: session.execute(select(SubscriptionRow.__table__.c.id)),
    "a Core update": lambda session: session.execute(table("subscriptions", column("name")).update().values(name="x")),
    "a connection's own select": lambda session: session.connection().execute(select(SubscriptionRow.id)),
    "a subquery of the table of a delete": lambda session: session.execute(
        delete(DeadLetterRow).where(DeadLetterRow.offset.in_(select(DeadLetterRow.offset)))
    ),
    "rows from a query": lambda session: activity.append_to_all(session, Event.ACTIVE),
    "another tenant's row": lambda session: subscriptions.insert(session, subscription("x", tenant="theirs")),
    "a row without tenant": lambda session: session.execute(
        insert(DeadLetterRow), [{"subscription_id": ID, "topic": "t", "partition": 0, "offset": 0}]
    ),
    "an object of another tenant": lambda session: session.add(SubscriptionRow(id="x", tenant="theirs")),
    "activity of another tenant": lambda session: session.execute(
        insert(ActivityRow),
        [activity._to_row(activity_of(OTHER_ID))],  # the row that append leaves out
    ),
    "a row given away": lambda session: subscriptions.replace(session, subscription(version=2, tenant="theirs")),
    "rows given away": lambda session: session.execute(update(SubscriptionRow).values(tenant="theirs")),
    "the keys of all tenants": lambda session: session.execute(select(ApiKeyRow.id)),
    "the audit log of all tenants": lambda session: session.execute(select(AuditLogRow.id)),
}
"""Statements of the first tenant that SQLAlchemy adds no condition to, or whose condition would not be enough."""

REACHED: dict[str, tuple[Callable[[], Any], object]] = {
    "entity": (lambda: select(func.count()).select_from(SubscriptionRow), 1),
    "alias": (lambda: select(func.count(aliased(SubscriptionRow).id)), 1),
    "join": (
        lambda: (
            select(func.count(SubscriptionStatusRow.health))
            .select_from(SubscriptionRow)
            .outerjoin(SubscriptionStatusRow, SubscriptionStatusRow.subscription_id != SubscriptionRow.id)
        ),
        0,
    ),
    "subquery": (lambda: select(func.count()).select_from(select(ActivityRow.id).subquery()), 1),
    "exists": (
        lambda: select(func.count(SubscriptionRow.id)).where(
            select(DeadLetterRow.offset).where(DeadLetterRow.subscription_id == OTHER_ID).exists()
        ),
        0,
    ),
}
"""Forms of statements, each with what it counts for the first tenant."""


def everything(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    with database.transaction() as session:
        return {
            name: [tuple(row) for row in session.execute(select(*table.__table__.columns))]
            for name, table in TENANT_TABLES.items()
        }


def test_every_table_is_a_tenants_or_the_services() -> None:
    registered = [*TENANT_TABLES, *SHARED_TABLES, *OPERATOR_TABLES]
    assert sorted(registered) == sorted(ApiKeyRow.metadata.tables)


def test_every_function_that_the_api_calls_is_in_the_table() -> None:
    known = {name.partition(".")[0] for name in FUNCTIONS}
    called = {name for path in API.rglob("*.py") if HEALTH not in path.parents for name in calls_in(path)}
    assert {name for name in called if name.partition(".")[0] in known} == FUNCTIONS.keys() | WITHOUT_ROWS.keys()


def calls_in(path: Path) -> Iterator[str]:
    """The functions of store modules that a module calls, as `module.function`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=module), attr=function)):
                yield f"{module}.{function}"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_finds_nothing_of_another_tenant(filled: Database, name: str) -> None:
    before = everything(filled)
    for call, expected in FUNCTIONS[name]:
        with filled.transaction(OURS) as session:
            assert call(session) == expected
    assert everything(filled) == before


@pytest.mark.parametrize("name", REFUSED)
def test_statement_without_the_tenants_condition_is_refused(filled: Database, name: str) -> None:
    before = everything(filled)
    with pytest.raises(OutsideTenant), filled.transaction(OURS) as session:
        REFUSED[name](session)
    assert everything(filled) == before


@pytest.mark.parametrize("form", REACHED)
def test_condition_reaches_every_form_of_select(filled: Database, form: str) -> None:
    statement, expected = REACHED[form]
    with filled.transaction(OURS) as session:
        assert session.scalar(statement()) == expected


def test_tenant_reaches_its_own_rows(filled: Database) -> None:
    with filled.transaction(OURS) as session:
        found = (
            subscriptions.find(session, ID).id,
            len(activity.recent(session, ID)),
            dead_letters.count(session, ID),
            len(mail_failures.read(session, ID, ["a@b.example"])),
            subscription_statuses.read(session, ID) is not None,
        )
        subscriptions.replace(session, subscription(version=2, tenant="ours"))
        activity.append(session, [activity_of(ID)])
        deleted = dead_letters.delete_some(session, ID)
        mail_failures.keep(session, ID, ())
        subscriptions.delete(session, ID)
    assert (found, deleted) == ((ID, 1, 1, 1, True), 1)
    assert [len(rows) for rows in everything(filled).values()] == [1] * len(TENANT_TABLES)


def test_scope_without_a_tenant_sees_nothing(filled: Database) -> None:
    with filled.transaction(Scope("")) as session:
        assert subscriptions.versions(session) == {}


def test_transactions_of_all_tenants_see_every_row(filled: Database) -> None:
    with filled.transaction() as session:
        counted = subscription_counts.count(session, ONLINE)
        assert (counted.total, set(subscriptions.versions(session))) == (2, {ID, OTHER_ID})
