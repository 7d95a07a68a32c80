"""The database: one engine per process, short transactions, every wait bounded (engines.py has the bounds)."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from psycopg2 import errors
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, DisconnectionError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from webhookd.errors import SchemaMismatch, StoreUnavailable
from webhookd.flow.access.caller import ALL_TENANTS, Scope
from webhookd.metrics.service_calls import DATABASE, MeasuredCall
from webhookd.store import measured_statements, tenant_scope
from webhookd.store.engines import Bounds, first_line, pooled_engine
from webhookd.store.secret_keys import NONE, SECRET_KEYS, SecretKeys
from webhookd.store.tenant_scope import SCOPE, TenantSession

OTHER_TABLES = (
    errors.UndefinedTable,
    errors.UndefinedColumn,
    errors.InvalidSchemaName,
    errors.DuplicateTable,
    errors.DuplicateColumn,
)
"""Postgres' errors for what the schema does not have, and for what it has before a migration creates it."""


class Database:
    """The tables behind one engine; made after a fork, used from any thread.

    The migrations must have run. Nothing is connected before the first transaction. `secret_keys` encrypt and decrypt
    the secrets of subscriptions. Raises UnusableSetting.
    """

    def __init__(
        self, url: str, *, pool_size: int = 10, bounds: Bounds | None = None, secret_keys: SecretKeys = NONE
    ) -> None:
        self._secret_keys = secret_keys
        self._engine = pooled_engine(url, pool_size=pool_size, bounds=bounds or Bounds())
        tenant_scope.guard(self._engine)
        measured_statements.measure(self._engine)

    @contextmanager
    def transaction(self, scope: Scope = ALL_TENANTS) -> Iterator[Session]:
        """Open a session that commits on exit and rolls back on any error; it sees the rows of `scope`.

        Raises StoreUnavailable when the database is unreachable, too slow, or busy, and SchemaMismatch when it has
        other tables. If the answer to a commit is lost, it is unknown whether the commit happened. On SQLite the
        transaction holds the write lock from its start: keep it short. It is measured from the wait for a connection to
        the end of the commit.
        """
        with MeasuredCall(DATABASE, "transaction"), unavailable_errors(), self._begun(scope) as session:
            yield session

    @contextmanager
    def _begun(self, scope: Scope) -> Iterator[Session]:
        kind = Session if scope.tenant is None else TenantSession
        info = {SCOPE: scope, SECRET_KEYS: self._secret_keys}
        with kind(self._engine, expire_on_commit=False, info=info) as session, session.begin():
            yield session

    def ping(self) -> None:
        """Run a trivial statement; raises StoreUnavailable."""
        with MeasuredCall(DATABASE, "ping"), unavailable_errors(), self._begun(ALL_TENANTS) as session:
            session.execute(text("SELECT 1"))

    def close(self) -> None:
        """Close every idle connection."""
        self._engine.dispose()


@contextmanager
def unavailable_errors() -> Iterator[None]:
    """Raise StoreUnavailable or SchemaMismatch in place of the driver's errors that are not the statement's fault."""
    try:
        yield
    except (DBAPIError, PoolTimeout, DisconnectionError) as error:
        unavailable = _unavailable(error)
        if unavailable is None:
            _hide_row(error)
            raise
        raise unavailable from error


def _unavailable(error: Exception) -> StoreUnavailable | None:
    """The error to raise instead; None for one that is the statement's own fault, such as a key that exists."""
    original = getattr(error, "orig", None)
    if _has_other_tables(original):
        return SchemaMismatch(f"{_cause(error)}: the database has other tables; run: webhookd migrate")
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    refused = isinstance(original, errors.InsufficientPrivilege)
    if lost or refused or isinstance(error, (OperationalError, InterfaceError, PoolTimeout, DisconnectionError)):
        return StoreUnavailable(_cause(error))
    return None


def _hide_row(error: Exception) -> None:
    """Keep only the first line of each text: Postgres adds the row that it refuses, with its header values."""
    for one in (error, getattr(error, "orig", None)):
        if one is not None and one.args:
            one.args = (first_line(one.args[0]), *one.args[1:])


def _has_other_tables(original: object) -> bool:
    # SQLite has one code for every error in a statement; those of webhookd are right for the right tables.
    if isinstance(original, sqlite3.OperationalError):
        return getattr(original, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR
    return isinstance(original, OTHER_TABLES)


def _cause(error: Exception) -> str:
    return first_line(getattr(error, "orig", None) or error)
