"""SQL that Postgres and SQLite write differently."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import CursorResult, Float, FunctionElement, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler

from webhookd.store.tables import Table

Rows = Sequence[Mapping[str, Any]]


class DatabaseNow(FunctionElement[float]):
    """Seconds since the epoch by the database's clock, which all processes share."""

    inherit_cache = True
    type = Float()
    name = "database_now"


@compiles(DatabaseNow, "postgresql")
def _postgres_now(_element: DatabaseNow, _compiler: SQLCompiler, **_kw: Any) -> str:  # noqa: ANN401  # SQLAlchemy's own signature
    return "CAST(extract(epoch FROM clock_timestamp()) AS double precision)"


@compiles(DatabaseNow, "sqlite")
def _sqlite_now(_element: DatabaseNow, _compiler: SQLCompiler, **_kw: Any) -> str:  # noqa: ANN401  # SQLAlchemy's own signature
    return "((julianday('now') - 2440587.5) * 86400.0)"


def upsert(session: Session, table: type[Table], rows: Rows, *, keys: Sequence[str]) -> None:
    """Insert the rows; a row whose key exists is overwritten."""
    statement = _insert(session, table)
    columns = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    session.execute(statement.on_conflict_do_update(index_elements=list(keys), set_=columns), list(rows))


def insert_new(session: Session, table: type[Table], rows: Rows) -> None:
    """Insert the rows; a row whose key exists stays as it is."""
    session.execute(_insert(session, table).on_conflict_do_nothing(), list(rows))


def insert_if_new(session: Session, table: type[Table], row: Mapping[str, Any]) -> bool:
    """Insert one row unless its key exists; returns whether it was inserted."""
    result = session.execute(_insert(session, table).on_conflict_do_nothing().values(**row))
    return isinstance(result, CursorResult) and result.rowcount > 0


def prefer_indexes(session: Session) -> None:
    """Read no table as a whole for the rest of the transaction, unless no index answers a statement.

    For statements whose best index only the planner can choose. SQLite has no such setting, and needs none: it reads a
    table as a whole only if it finds no index.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SET LOCAL enable_seqscan = off"))


def _insert(session: Session, table: type[Table]) -> postgresql.Insert | sqlite.Insert:
    if session.get_bind().dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)
