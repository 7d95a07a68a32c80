"""Measures the statements of an engine by their kind: a slow read and a slow write have different causes.

A transaction is measured as a whole (database.py): the wait for a connection, its statements, what the process does
between them, and the commit. Errors are counted there.
"""

from typing import Any, Final

from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine

from webhookd import clock
from webhookd.metrics.catalogue.services import CALL_DURATION
from webhookd.metrics.service_calls import DATABASE

KINDS: Final = frozenset({"select", "insert", "update", "delete"})
OTHER: Final = "other"
"""All other statements: those that begin a transaction, and its bounds."""

_BEGAN_AT: Final = "webhookd_statement_began_at"


def measure(engine: Engine) -> None:
    """Measure every statement of this engine that succeeds."""
    event.listen(engine, "before_cursor_execute", _begin)
    event.listen(engine, "after_cursor_execute", _end)


def kind_of(statement: str) -> str:
    """Return the kind of a statement, by its first word; a query that begins with `WITH` is a `select`."""
    word = statement.lstrip(" \n(")[:6].lower()
    return word if word in KINDS else "select" if word.startswith("with") else OTHER


def _begin(connection: Connection, *_: object) -> None:
    connection.info[_BEGAN_AT] = clock.monotonic()


def _end(connection: Connection, _cursor: Any, statement: str, *_: object) -> None:  # noqa: ANN401  # of any driver
    took_s = clock.monotonic() - connection.info[_BEGAN_AT]
    CALL_DURATION.observe(took_s, DATABASE.name, kind_of(statement))
