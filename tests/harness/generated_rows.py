"""Rows for every table that a database has, whatever its revision: made from the tables as the database describes them.

Two rows a table: the first one has a value in every column, the second one NULL where NULL is allowed.
"""

from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Engine,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    String,
    create_engine,
    select,
)
from sqlalchemy.pool import NullPool

Rows = dict[str, list[dict[str, Any]]]
"""The rows of each table, in the order of their primary keys."""

ROWS = (1, 2)

DOCUMENTS: dict[str, Callable[[int], Any]] = {
    "delivery": lambda number: {"state": f"delivery_state {number}"},
    "problems": lambda number: [{"code": f"code {number}"}],
}
"""Documents whose shape a migration reads; those of other columns are lists. The state is also in a column."""

TEXTS = {"secrets": ""}
"""Texts whose form a migration reads."""


def fill(url: str) -> None:
    """Insert two rows into every table."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        for table in _tables(engine).sorted_tables:
            for number in ROWS:
                connection.execute(table.insert(), {column.name: _value(column, number) for column in table.columns})


def read(url: str) -> Rows:
    """Every row of every table."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        return {
            table.name: [dict(row) for row in connection.execute(select(table).order_by(*table.primary_key)).mappings()]
            for table in _tables(engine).sorted_tables
        }


def _tables(engine: Engine) -> MetaData:
    metadata = MetaData()
    metadata.reflect(engine)
    metadata.remove(metadata.tables["alembic_version"])
    return metadata


def _value(column: Column[Any], number: int) -> object:
    if column.nullable and number == ROWS[1]:
        return None
    for key in column.foreign_keys:
        return _value(key.column, number)
    match column.type:
        case Boolean():
            return number == ROWS[0]
        case Integer():
            return number
        case Float():
            return number + 0.25
        case LargeBinary():
            return f"{column.name}\0{number}".encode()
        case JSON():
            return DOCUMENTS[column.name](number) if column.name in DOCUMENTS else [f"{column.name} {number}"]
        case String(length=length):
            return TEXTS.get(column.name, f"{column.name} {number}"[-(length or 100) :])
    raise AssertionError(f"no value for {column.table.name}.{column.name}, which is {column.type!r}")
