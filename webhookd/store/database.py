"""The database: one engine per process, short transactions, every wait bounded.

waiting for               bound       without the bound
a new connection          3 s         the API would answer late instead of with 503
the end of a statement    3 s         a lane would wait for the activity log
an answer of the server   4 s         a frozen server (it keeps its sockets open) would block the caller for ever
a free connection         3 s         requests would pile up behind a slow database
SQLite's write lock       5 s         a writer that hangs would block the others; each needs the lock for milliseconds
"""

import select
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import psycopg2
from psycopg2 import extensions
from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import URL, Connection, Engine, ExceptionContext, make_url
from sqlalchemy.exc import DBAPIError, DisconnectionError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from webhookd.errors import StoreUnavailable

CONNECT_S = 3
STATEMENT_S = 3
SILENCE_S = 4.0
POOL_WAIT_S = 3.0
SQLITE_LOCK_S = 5.0

POSTGRES_OPTIONS: dict[str, Any] = {
    "connect_timeout": CONNECT_S,
    "options": f"-c statement_timeout={STATEMENT_S * 1000} -c idle_in_transaction_session_timeout=30000",
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}


class Database:
    """The tables behind one engine; made after a fork, used from any thread.

    The migrations must have run. Nothing is connected before the first transaction.
    """

    def __init__(self, url: str, *, pool_size: int = 10, silence_s: float = SILENCE_S) -> None:
        self._engine = _engine(make_url(url), pool_size=pool_size, silence_s=silence_s)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Open a session that commits on exit and rolls back on any error.

        Raises StoreUnavailable when the database is unreachable, too slow, or busy. If the answer to a commit is lost,
        it is unknown whether the commit happened. On SQLite the transaction holds the write lock from its start: keep
        it short.
        """
        try:
            with Session(self._engine, expire_on_commit=False) as session, session.begin():
                yield session
        except (OperationalError, InterfaceError, PoolTimeout, DisconnectionError) as error:
            raise StoreUnavailable(_cause(error)) from error
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            raise StoreUnavailable(_cause(error)) from error

    def ping(self) -> None:
        """Run a trivial statement; raises StoreUnavailable."""
        with self.transaction() as session:
            session.execute(text("SELECT 1"))

    def close(self) -> None:
        """Close every idle connection."""
        self._engine.dispose()


def _engine(url: URL, *, pool_size: int, silence_s: float) -> Engine:
    # Errors are logged, and the parameters of statements contain secrets and bodies: an error must not show them.
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, pool_timeout=POOL_WAIT_S, pool_size=pool_size, hide_parameters=True)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_immediately)
        return engine
    extensions.set_wait_callback(_wait_for_answer)
    engine = create_engine(
        url,
        pool_pre_ping=True,
        pool_timeout=POOL_WAIT_S,
        pool_size=pool_size,
        hide_parameters=True,
        connect_args={**POSTGRES_OPTIONS, "connection_factory": _bounded(silence_s)},
    )
    event.listen(engine, "handle_error", _keep_first_line)
    return engine


def _cause(error: Exception) -> str:
    original = getattr(error, "orig", None) or error
    return str(original).strip().partition("\n")[0]


def _keep_first_line(context: ExceptionContext) -> None:
    # From the second line on, a message shows the statement, its parameters and the row: secrets and bodies.
    for error in (context.original_exception, context.sqlalchemy_exception):
        if error is not None and error.args:
            error.args = (str(error.args[0]).partition("\n")[0], *error.args[1:])


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # The driver begins a transaction late, and none for reads; SQLAlchemy's "begin" event begins it instead.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout={int(SQLITE_LOCK_S * 1000)}")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")


def _begin_immediately(connection: Connection) -> None:
    # A deferred transaction that reads, then writes, fails at once when another one has written in between.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


class BoundedConnection(extensions.connection):
    """A connection with a bound on waiting for the server; other ones of the process (migrations) have no bound."""

    silence_s: ClassVar[float] = SILENCE_S


def _bounded(silence_s: float) -> type[BoundedConnection]:
    # The driver already waits inside the constructor, so the bound is an attribute of the class.
    return type("BoundedConnection", (BoundedConnection,), {"silence_s": silence_s})


def _wait_for_answer(connection: extensions.connection) -> None:
    """Wait for the socket with a bound: libpq has none for a server that is frozen but still connected."""
    timeout_ms = connection.silence_s * 1000 if isinstance(connection, BoundedConnection) else None
    while True:
        state = connection.poll()
        if state == extensions.POLL_OK:
            return
        # poll, not select: an ingest process with many consumers has file descriptors past 1,024.
        answer = select.poll()
        answer.register(connection.fileno(), select.POLLIN if state == extensions.POLL_READ else select.POLLOUT)
        if not answer.poll(timeout_ms):
            raise psycopg2.OperationalError("the server did not answer in time")
