"""Transactions and statements of a real database are measured, and its failures are counted."""

import pytest
from sqlalchemy import text

from tests.harness.metrics import LiveMetrics
from tests.harness.subscriptions import subscription
from webhookd.errors import NotFound, SchemaMismatch, StoreUnavailable
from webhookd.store import subscriptions
from webhookd.store.database import Database
from webhookd.store.engines import Bounds
from webhookd.store.measured_statements import kind_of

COUNT = "webhookd_call_duration_seconds_count"
ERRORS = "webhookd_call_errors_total"
UNREACHABLE = "postgresql://webhookd@127.0.0.1:1/webhookd"


def calls(live: LiveMetrics) -> dict[str, float]:
    return {one.labels["operation"]: one.value for one in live.read().series(COUNT, service="database")}


def test_transaction_and_its_statements_are_measured(database: Database, live_metrics: LiveMetrics) -> None:
    with database.transaction() as session:
        subscriptions.insert(session, subscription())
        assert subscriptions.versions(session)
    seen = calls(live_metrics)
    assert (seen["transaction"], seen["insert"] >= 1, seen["select"] >= 1) == (1, True, True)
    assert seen.keys() <= {"transaction", "select", "insert", "update", "delete", "other"}


def test_ping_is_no_transaction(database: Database, live_metrics: LiveMetrics) -> None:
    database.ping()
    seen = calls(live_metrics)
    assert (seen["ping"], seen.get("transaction")) == (1, None)


def test_error_of_the_caller_is_no_failure_of_the_database(database: Database, live_metrics: LiveMetrics) -> None:
    with pytest.raises(NotFound), database.transaction():
        raise NotFound
    assert live_metrics.read().series(ERRORS) == []


def test_database_of_another_version_is_counted(database: Database, live_metrics: LiveMetrics) -> None:
    with pytest.raises(SchemaMismatch), database.transaction() as session:
        session.execute(text("SELECT * FROM nowhere"))
    seen = live_metrics.read()
    assert seen.value(ERRORS, service="database", operation="transaction", code="schema_mismatch") == 1


def test_unreachable_database_is_counted(live_metrics: LiveMetrics) -> None:
    unreachable = Database(UNREACHABLE, bounds=Bounds(connect_s=2.0))
    with pytest.raises(StoreUnavailable):
        unreachable.ping()
    seen = live_metrics.read()
    assert seen.value(ERRORS, service="database", operation="ping", code="store_unavailable") == 1
    assert seen.value(COUNT, service="database", operation="ping") == 1


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("SELECT 1", "select"),
        ("\n select 1", "select"),
        ("(SELECT 1) UNION (SELECT 2)", "select"),
        ("WITH shown AS (SELECT 1) SELECT * FROM shown", "select"),
        ("INSERT INTO a VALUES (1)", "insert"),
        ("UPDATE a SET b = 1", "update"),
        ("DELETE FROM a", "delete"),
        ("BEGIN IMMEDIATE", "other"),
        ("SET LOCAL statement_timeout = 1", "other"),
        ("", "other"),
    ],
)
def test_kind_of_a_statement(statement: str, kind: str) -> None:
    assert kind_of(statement) == kind
