"""Opens the SQLite files of a run for reading, and checks that they have the columns and types of their schema."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from webhookd_load_test.compare.unusable_folder import UnusableFolderError
from webhookd_load_test.run_folder import published, received


@contextmanager
def reading(file: Path) -> Iterator[sqlite3.Connection]:
    """A connection that cannot write. Raises UnusableFolderError, also for what fails while it is used."""
    if not file.is_file():
        raise UnusableFolderError(f"{file.name}: no such file")
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise UnusableFolderError(f"{file.name}: {error}") from None


def check_published(file: Path) -> None:
    """Raise UnusableFolderError unless the file is as run_folder/published.py says."""
    _check(file, published.SCHEMA)


def check_received(file: Path) -> None:
    """Raise UnusableFolderError unless the file is as run_folder/received.py says."""
    _check(file, received.SCHEMA)


def _check(file: Path, schema: str) -> None:
    with closing(sqlite3.connect(":memory:")) as model:
        model.executescript(schema)
        tables = {table: _columns(model, table) for (table,) in model.execute("SELECT name FROM sqlite_master")}
    with reading(file) as connection:
        for table, columns in tables.items():
            _check_columns(file, table, columns, _columns(connection, table))
            _check_types(file, connection, table, columns)


def _columns(connection: sqlite3.Connection, table: str) -> dict[str, str]:
    """The columns with their types; ` NULL` after those that can have none."""
    rows = connection.execute('SELECT name, type, "notnull" OR pk FROM pragma_table_info(?)', [table])
    return {name: kind if needed else f"{kind} NULL" for name, kind, needed in rows}


def _check_columns(file: Path, table: str, wanted: Mapping[str, str], found: Mapping[str, str]) -> None:
    if not found:
        raise UnusableFolderError(f"{file.name}: no table {table}")
    if absent := [column for column in wanted if column not in found]:
        raise UnusableFolderError(f"{file.name}: {table} has no column {', '.join(absent)}")


def _check_types(file: Path, connection: sqlite3.Connection, table: str, columns: Mapping[str, str]) -> None:
    """SQLite keeps in a column what it is given. One scan for all columns: there are millions of rows."""
    wrong = " OR ".join(f"typeof({_quoted(column)}) NOT IN {_allowed(kind)}" for column, kind in columns.items())
    query = f"SELECT {', '.join(map(_quoted, columns))} FROM {table} WHERE {wrong} LIMIT 1"  # noqa: S608 - own names
    row: Sequence[object] | None = connection.execute(query).fetchone()
    for (column, kind), value in zip(columns.items(), row or (), strict=False):
        if (found := _TYPES[type(value)]) not in _allowed(kind):
            wanted = kind.lower().replace(" ", " or ")
            raise UnusableFolderError(f"{file.name}: {table}.{column} is {found}, not {wanted}: {value!r}")


_TYPES: dict[type, str] = {int: "integer", str: "text", float: "real", bytes: "blob", type(None): "null"}


def _allowed(kind: str) -> tuple[str, ...]:
    """The types that a column may hold; at least two, so that the text of the tuple is SQL.

    A text that can be missing (a key, a value) is read as bytes, so it may be some.
    """
    return {"TEXT NULL": ("text", "blob", "null"), "INTEGER NULL": ("integer", "null"), "TEXT": ("text", "text")}.get(
        kind, ("integer", "integer")
    )


def _quoted(column: str) -> str:
    return f'"{column}"'
