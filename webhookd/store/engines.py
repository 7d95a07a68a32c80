"""Engines for Postgres and SQLite whose every wait has a bound.

waiting for               bound       without the bound
a new connection          3 s         the API would answer late instead of with 503
the end of a statement    3 s         a lane would wait for the activity log
an answer of the server   4 s         a frozen server (it keeps its sockets open) would block the caller for ever
a free connection         3 s         requests would pile up behind a slow database
SQLite's write lock       5 s         a writer that hangs would block the others; each needs the lock for milliseconds

A transaction sets its bounds itself, in the message that begins it. A pooler in transaction mode, such as PgBouncer,
takes no bounds when a connection opens, and what a session sets would stay with a connection that other clients use.
"""

import select
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg2
from psycopg2 import errors, extensions
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Connection, Engine, ExceptionContext
from sqlalchemy.pool import NullPool

from webhookd import clock
from webhookd.store import database_url
from webhookd.store.database_url import PostgresUrl, SqliteUrl

POOL_WAIT_S = 3.0
SQLITE_LOCK_S = 5.0
IDLE_IN_TRANSACTION_S = 30.0

KEEPALIVES = {"keepalives": "1", "keepalives_idle": "5", "keepalives_interval": "2", "keepalives_count": "3"}

IN_TRANSACTION = (extensions.TRANSACTION_STATUS_INTRANS, extensions.TRANSACTION_STATUS_INERROR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How long to wait for Postgres, in seconds; None is without a bound."""

    connect_s: float = 3.0
    statement_s: float | None = 3.0
    silence_s: float | None = 4.0

    def begin(self) -> str:
        """The message that begins a transaction with these bounds."""
        limits = {"statement_timeout": self.statement_s, "idle_in_transaction_session_timeout": IDLE_IN_TRANSACTION_S}
        return "; ".join(
            ["BEGIN", *(f"SET LOCAL {name} = {int(1000 * (limit or 0))}" for name, limit in limits.items())]
        )


def pooled_engine(url: str, *, pool_size: int, bounds: Bounds) -> Engine:
    """Return the engine of a process; it connects when it is used. Raises UnusableSetting."""
    match database_url.parse(url):
        case SqliteUrl(url=file):
            engine = create_engine(file, pool_timeout=POOL_WAIT_S, pool_size=pool_size, hide_parameters=True)
            _prepare_sqlite_engine(engine, ["journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"])
        case PostgresUrl() as servers:
            engine = _postgres_engine(
                servers, bounds, pool_pre_ping=True, pool_timeout=POOL_WAIT_S, pool_size=pool_size
            )
    return engine


def migration_engine(url: str) -> Engine:
    """Return an engine whose statements may take as long as they need, with a bound on connecting only.

    On SQLite foreign keys are not enforced, because a migration replaces tables that others refer to.
    Raises UnusableSetting.
    """
    match database_url.parse(url):
        case SqliteUrl(url=file):
            engine = create_engine(file, poolclass=NullPool, hide_parameters=True)
            _prepare_sqlite_engine(engine, [])
        case PostgresUrl() as servers:
            engine = _postgres_engine(servers, Bounds(statement_s=None, silence_s=None), poolclass=NullPool)
    return engine


def _prepare_sqlite_engine(engine: Engine, pragmas: list[str]) -> None:
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        # The driver begins a transaction late, and none for reads; SQLAlchemy's "begin" event begins it instead.
        connection.isolation_level = None
        for pragma in (f"busy_timeout={int(SQLITE_LOCK_S * 1000)}", *pragmas):
            connection.execute(f"PRAGMA {pragma}")

    event.listen(engine, "connect", prepare)
    # A deferred transaction that reads, then writes, fails at once when another one has written in between.
    event.listen(engine, "begin", lambda connection: _begin(connection, "BEGIN IMMEDIATE"))


def _postgres_engine(servers: PostgresUrl, bounds: Bounds, **options: Any) -> Engine:  # noqa: ANN401 - SQLAlchemy's options
    extensions.set_wait_callback(_wait_for_answer)
    # Errors are logged, and the parameters of statements contain secrets and bodies: an error must not show them.
    engine = create_engine(
        "postgresql+psycopg2://", creator=lambda: _connect(servers, bounds), hide_parameters=True, **options
    )
    begin = bounds.begin()
    event.listen(engine, "begin", lambda connection: _begin(connection, begin))
    event.listen(engine, "handle_error", _handle_error)
    return engine


def _begin(connection: Connection, statement: str) -> None:
    connection.exec_driver_sql(statement)


def _handle_error(context: ExceptionContext) -> None:
    # From the second line on, a message shows the statement, its parameters and the row: secrets and bodies.
    for error in (context.original_exception, context.sqlalchemy_exception):
        if error is not None and error.args:
            error.args = (first_line(error.args[0]), *error.args[1:])
    # After a failover the server of an open connection may be a standby; another connection may reach the primary.
    if isinstance(context.original_exception, errors.ReadOnlySqlTransaction):
        context.is_disconnect = True


def first_line(error: object) -> str:
    """The first line of an error's text."""
    return str(error).strip().partition("\n")[0]


def _connect(servers: PostgresUrl, bounds: Bounds) -> "BoundedConnection":
    """Connect to the first server that takes the connection. Raises psycopg2.OperationalError."""
    failures: list[str] = []
    for parameters in servers.servers():
        timeout_s = float(parameters.get("connect_timeout", bounds.connect_s))
        factory = partial(BoundedConnection, connect_s=timeout_s, silence_s=bounds.silence_s)
        try:
            dsn = extensions.make_dsn(**{**KEEPALIVES, **parameters})
            connected: BoundedConnection = psycopg2.connect(dsn, connection_factory=factory)
        except psycopg2.OperationalError as error:
            failures.append(f"{_name(parameters)}: {first_line(error)}")
        else:
            return connected
    raise psycopg2.OperationalError("; ".join(failures))


def _name(parameters: Mapping[str, str]) -> str:
    host = parameters.get("host") or parameters.get("hostaddr") or "the default host"
    return f"{host}:{parameters['port']}" if parameters.get("port") else host


class BoundedConnection(extensions.connection):
    """A connection with bounds on waiting for the server, for which the caller begins each transaction.

    The driver would begin a transaction with a message of its own, and so the bounds would need another one.
    """

    def __init__(self, dsn: str, *, connect_s: float, silence_s: float | None) -> None:
        self._silence_s = silence_s
        self._connected_by: float | None = clock.monotonic() + connect_s
        super().__init__(dsn)  # already waits, with the bound on connecting
        self._connected_by = None
        self.autocommit = True

    def commit(self) -> None:
        """Commit the transaction that was begun."""
        if self.get_transaction_status() != extensions.TRANSACTION_STATUS_IDLE:
            self._execute("COMMIT")

    def rollback(self) -> None:
        """Roll back the transaction that was begun; without one, or when the connection is lost, do nothing."""
        if not self.closed and self.get_transaction_status() in IN_TRANSACTION:
            self._execute("ROLLBACK")

    def wait_s(self) -> float | None:
        """How long to wait for the next answer."""
        if self._connected_by is None:
            return self._silence_s
        return max(0.0, self._connected_by - clock.monotonic())

    def _execute(self, statement: str) -> None:
        with self.cursor() as cursor:
            cursor.execute(statement)


def _wait_for_answer(connection: extensions.connection) -> None:
    """Wait for the socket with a bound: libpq has none for a server that is frozen but still connected."""
    while True:
        state = connection.poll()
        if state == extensions.POLL_OK:
            return
        # poll, not select: an ingest process with many consumers has file descriptors past 1,024.
        answer = select.poll()
        answer.register(connection.fileno(), select.POLLIN if state == extensions.POLL_READ else select.POLLOUT)
        wait_s = connection.wait_s() if isinstance(connection, BoundedConnection) else None
        if not answer.poll(None if wait_s is None else 1000 * wait_s):
            raise psycopg2.OperationalError("the server did not answer in time")
