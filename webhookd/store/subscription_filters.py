"""Conditions on the JSON columns of subscriptions, as Postgres and SQLite write them.

On Postgres each can use a GIN index (`jsonb_path_ops`). SQLite has none and reads every row; a column that is not JSON
satisfies no condition there.
"""

from typing import Any

from sqlalchemy import Boolean, ColumnElement, FunctionElement, String, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from webhookd.store.tables import SubscriptionRow, storable


class _ReadsTopic(FunctionElement[bool]):
    """Whether a list of sources (first argument) has the topic (second argument)."""

    inherit_cache = True
    type = Boolean()
    name = "reads_topic"


class _HasLabel(FunctionElement[bool]):
    """Whether an object of labels (first argument) has the value (third argument) under the name (second argument)."""

    inherit_cache = True
    type = Boolean()
    name = "has_label"


def reads_topic(topic: str) -> ColumnElement[bool]:
    """Whether a subscription reads the topic."""
    return _ReadsTopic(SubscriptionRow.sources, literal(storable(topic), String))


def has_label(name: str, value: str) -> ColumnElement[bool]:
    """Whether a subscription has the label with this value."""
    return _HasLabel(SubscriptionRow.labels, literal(storable(name), String), literal(storable(value), String))


@compiles(_ReadsTopic, "postgresql")
def _postgres_topic(element: _ReadsTopic, compiler: SQLCompiler, **kw: Any) -> str:  # noqa: ANN401  # SQLAlchemy's own signature
    column, topic = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"{column} @> jsonb_build_array(jsonb_build_object('topic', CAST({topic} AS text)))"


@compiles(_ReadsTopic, "sqlite")
def _sqlite_topic(element: _ReadsTopic, compiler: SQLCompiler, **kw: Any) -> str:  # noqa: ANN401  # SQLAlchemy's own signature
    column, topic = (compiler.process(clause, **kw) for clause in element.clauses)
    found = f"EXISTS (SELECT 1 FROM json_each({column}) AS one WHERE json_extract(one.value, '$.topic') = {topic})"  # noqa: S608  # compiled SQL
    return f"CASE WHEN json_valid({column}) THEN {found} ELSE 0 END"


@compiles(_HasLabel, "postgresql")
def _postgres_label(element: _HasLabel, compiler: SQLCompiler, **kw: Any) -> str:  # noqa: ANN401  # SQLAlchemy's own signature
    column, name, value = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"{column} @> jsonb_build_object(CAST({name} AS text), CAST({value} AS text))"


@compiles(_HasLabel, "sqlite")
def _sqlite_label(element: _HasLabel, compiler: SQLCompiler, **kw: Any) -> str:  # noqa: ANN401  # SQLAlchemy's own signature
    column, name, value = (compiler.process(clause, **kw) for clause in element.clauses)
    found = f"EXISTS (SELECT 1 FROM json_each({column}) AS one WHERE one.key = {name} AND one.value = {value})"  # noqa: S608  # compiled SQL
    return f"CASE WHEN json_valid({column}) THEN {found} ELSE 0 END"
