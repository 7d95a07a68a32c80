"""The SQL that a part of a test sends."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event


@contextmanager
def sent_statements() -> Iterator[list[str]]:
    """The SQL that runs inside, over any engine, without its values."""
    found: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: Any) -> None:  # noqa: ANN401  # SQLAlchemy's
        found.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", note)
