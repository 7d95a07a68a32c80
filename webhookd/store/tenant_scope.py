"""Adds the tenant to every statement of a tenant's transaction, and refuses a statement that did not get it.

    ORM statements             get the condition of each tenant's table in them, also under aliases and in subqueries
                               (but not in one of the table of an UPDATE or DELETE: split it into two statements)
    the SQL that is sent out   needs one condition for each occurrence of a tenant's table; inserted rows are compared
                               with the tenant, and OPERATOR_TABLES take new rows only

The second check does not trust the first: a Core select, a text, or a subquery that the condition did not reach raises
OutsideTenant, and nothing is sent. Transactions of all tenants are left as they are.
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import BindParameter, ColumnElement, bindparam, event, select
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.orm import (
    InstrumentedAttribute,
    ORMExecuteState,
    Session,
    SessionTransaction,
    with_loader_criteria,
)
from sqlalchemy.orm.util import LoaderCriteriaOption

from webhookd.flow.access.caller import ALL_TENANTS, Scope
from webhookd.store.tables import (
    ActivityRow,
    DeadLetterRow,
    MailFailureRow,
    SubscriptionRow,
    SubscriptionStatusRow,
    Table,
)

SCOPE: Final = "scope"
"""The key of a transaction's Scope in its session's `info`."""

TENANT: Final = "tenant"
"""The option of a connection that names the tenant whose rows its statements may reach."""

OWN_COLUMN: Final[Mapping[type[Table], InstrumentedAttribute[str]]] = {
    SubscriptionRow: SubscriptionRow.tenant,
    DeadLetterRow: DeadLetterRow.tenant,
}
"""The tables with a tenant in each row."""

BY_SUBSCRIPTION: Final[Mapping[type[Table], InstrumentedAttribute[str]]] = {
    SubscriptionStatusRow: SubscriptionStatusRow.subscription_id,
    ActivityRow: ActivityRow.subscription_id,
    MailFailureRow: MailFailureRow.owner,
}
"""The tables whose rows belong to the tenant of the subscription in this column."""

TENANT_TABLES: Final[Mapping[str, type[Table]]] = {
    table.__tablename__: table for table in (*OWN_COLUMN, *BY_SUBSCRIPTION)
}

SHARED_TABLES: Final[Mapping[str, str]] = {
    "administration": "the offline switch: read for every status",
    "kafka_cluster": "the id of the Kafka cluster: compared by every registration",
    "dropped_groups": "consumer groups to delete: written by every deletion",
    "policies": "those of the operators for all tenants concern each tenant",
    "policy_versions": "the history of the policies",
    "policy_set": "the version of all policies together",
    "idempotency_keys": "found by the caller's key, which is a part of the primary key",
    "ingest_members": "the processes that confirm a policy",
}
"""Tables of the service that a tenant's transaction may use, each with the reason."""

OPERATOR_TABLES: Final[Mapping[str, str]] = {
    "api_keys": "the keys of all tenants; read before the tenant is known",
    "audit_log": "the changes of all tenants; a tenant's transaction only adds rows",
    "mail_outbox": "mails to all tenants and to the operators",
    "incidents": "alerts about all tenants",
    "system_faults": "faults of the service",
    "ingest_load": "the load of the service",
}
"""Tables of the service that a tenant's transaction may add rows to and do nothing else, each with the reason."""

CONDITION: Final = "tenant_of_"
"""The name of a condition's parameter: this, and the name of the table that has the condition."""

CACHED_TENANTS: Final = 1024

# A name before a dot qualifies a column; everything else that has the name of a table is a use of the table.
_USES: Final = re.compile(rf'\b({"|".join([*TENANT_TABLES, *OPERATOR_TABLES])})\b"?(?!\s*\.)', flags=re.IGNORECASE)


class OutsideTenant(Exception):
    """A statement of a tenant's transaction could reach rows of others."""


class TenantSession(Session):
    """A session that sees the rows of the one tenant of its Scope."""


def guard(engine: Engine) -> None:
    """Check every statement that tenants' sessions send over this engine."""
    event.listen(engine, "before_cursor_execute", _check_statement)


def scope_of(session: Session) -> Scope:
    """Whose rows the session may see."""
    scope: Scope = session.info.get(SCOPE, ALL_TENANTS)
    return scope


@event.listens_for(TenantSession, "after_begin")
def _mark(session: Session, _transaction: SessionTransaction, connection: Connection) -> None:
    connection.execution_options(**{TENANT: scope_of(session).tenant})


@event.listens_for(TenantSession, "do_orm_execute")
def _add_conditions(state: ORMExecuteState) -> None:
    if state.is_select or state.is_update or state.is_delete:
        state.statement = state.statement.options(*_conditions(str(scope_of(state.session).tenant)))
    if state.is_update or state.is_delete:
        # Without this, objects of the session would be compared with the condition in Python, which knows no subquery.
        state.update_execution_options(synchronize_session=False)


@lru_cache(CACHED_TENANTS)
def _conditions(tenant: str) -> Sequence[LoaderCriteriaOption]:
    return [
        with_loader_criteria(table, _condition(table, tenant), include_aliases=True) for table in TENANT_TABLES.values()
    ]


def _condition(table: type[Table], tenant: str) -> ColumnElement[bool]:
    if table in OWN_COLUMN:
        return OWN_COLUMN[table] == _parameter(table, tenant)
    # The columns of the table itself: those of the mapped class would get a condition of their own.
    subscriptions = SubscriptionRow.__table__.c
    return BY_SUBSCRIPTION[table].in_(select(subscriptions.id).where(subscriptions.tenant == _parameter(table, tenant)))


def _parameter(table: type[Table], tenant: str) -> BindParameter[str]:
    return bindparam(f"{CONDITION}{table.__tablename__}", tenant, unique=True)


def _check_statement(  # SQLAlchemy's own signature
    connection: Connection,
    _cursor: object,
    sql: str,
    _parameters: object,
    context: Any,  # noqa: ANN401  # the context that SQLAlchemy documents has fewer attributes than it has
    _many: bool,  # noqa: FBT001
) -> None:
    tenant = connection.get_execution_options().get(TENANT)
    used = _uses(sql) if tenant is not None else None
    if not used:
        return
    if context.isinsert:
        _check_insert(connection, sql, context, str(tenant))
        return
    given = _given(context)
    if used != given:
        raise OutsideTenant(f"tables without the condition of the tenant: {_difference(used, given)}")
    if context.isupdate and any(row.get(TENANT, tenant) != tenant for row in context.compiled_parameters):
        raise OutsideTenant("a row would be given to another tenant")


@lru_cache(CACHED_TENANTS)
def _uses(sql: str) -> Counter[str]:
    return Counter(name.lower() for name in _USES.findall(sql))


def _given(context: Any) -> Counter[str]:  # noqa: ANN401
    """How many conditions each table has. One by subscription also uses the table of subscriptions once."""
    names = context.compiled.bind_names.values() if context.compiled else ()
    found = Counter(name.removeprefix(CONDITION).rpartition("_")[0] for name in names if name.startswith(CONDITION))
    found[SubscriptionRow.__tablename__] += sum(found[table.__tablename__] for table in BY_SUBSCRIPTION)
    return found


def _difference(used: Counter[str], given: Counter[str]) -> str:
    return ", ".join(sorted(name for name in used | given if used[name] != given[name]))


def _check_insert(connection: Connection, sql: str, context: Any, tenant: str) -> None:  # noqa: ANN401  # as above
    """Raise OutsideTenant unless every row is the tenant's; a row of a service's table has no tenant to compare."""
    [(name, uses), *others] = _uses(sql).items()
    table = TENANT_TABLES.get(name)
    if others or uses > 1:
        raise OutsideTenant(f"rows of {name} from a query")
    if table in OWN_COLUMN and (
        "DO UPDATE" in sql.upper() or any(row.get(TENANT) != tenant for row in context.compiled_parameters)
    ):
        raise OutsideTenant(f"a row of {name} for another tenant")
    if table is not None and table in BY_SUBSCRIPTION:
        ids = {row.get(BY_SUBSCRIPTION[table].key) for row in context.compiled_parameters}
        if not ids <= _own(connection, tenant, ids):
            raise OutsideTenant(f"a row of {name} for a subscription that is not the tenant's")


def _own(connection: Connection, tenant: str, ids: Collection[str]) -> set[str]:
    """Which of these subscriptions are the tenant's."""
    columns = SubscriptionRow.__table__.c
    query = select(columns.id).where(columns.id.in_(ids), columns.tenant == _parameter(SubscriptionRow, tenant))
    return set(connection.scalars(query))
