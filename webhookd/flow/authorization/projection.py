"""Compiles a projection to a function that returns what is seen of a record.

    kind         value                                  key and headers
    none         whole                                  whole
    include      the members that a path names          those that a path names
    exclude      all but the members that a path names  none
    expression   the result of the expression           none

A tombstone has no value to hide: it stays a tombstone, unless an expression reads the key or the headers.

A projection fails with ProjectionFailed, and nothing of the record is seen, when

- the value is neither an object nor null, and no path begins with `[]`;
- a path to exclude goes through a value of another type: `customer.email`, where `customer` is an array;
- an expression raises, uses up its budget, or has the result null on a record that is no tombstone. A receiver would
  take the null for a tombstone.

A path to include that goes through a value of another type names nothing.
"""

from collections.abc import Callable
from typing import TypeAlias

from webhookd.errors import InvalidInput
from webhookd.flow.authorization.expression_projection import ExpressionProjection
from webhookd.flow.authorization.json_values import JsonValue
from webhookd.flow.authorization.path_projection import cut, keep, nothing_of
from webhookd.flow.authorization.projection_paths import PathTree, RecordPaths, parse_paths
from webhookd.flow.authorization.seen_record import Headers, RecordContent, SeenRecord
from webhookd.flow.filters.budget import Budget
from webhookd.flow.policy.policy import Projection, ProjectionKind

Project: TypeAlias = Callable[[RecordContent, JsonValue | None], SeenRecord]
"""Returns what is seen of a record. The second argument is its value; None for a tombstone. Raises ProjectionFailed."""


def compile_projection(projection: Projection | None, budget: Budget) -> Project:
    """Compile a projection. Raises InvalidInput, whose field is the place in the projection: `include[2]`."""
    if projection is None:
        return _whole
    if projection.kind is ProjectionKind.EXPRESSION:
        return ExpressionProjection(projection.expression, budget).project
    try:
        paths = parse_paths(projection.paths)
    except InvalidInput as error:
        raise InvalidInput(error.detail, field=f"{projection.kind.value}{error.field}") from error
    return _excluding(paths.value) if projection.kind is ProjectionKind.EXCLUDE else _including(paths)


def _whole(record: RecordContent, _json: JsonValue | None) -> SeenRecord:
    return SeenRecord(key=record.key(), headers=tuple(record.headers() or ()), value=record.value())


def _including(paths: RecordPaths) -> Project:
    tree, names = paths.value, paths.headers

    def project(record: RecordContent, json: JsonValue | None) -> SeenRecord:
        return SeenRecord(
            key=record.key() if paths.key else None,
            headers=() if names is not None and not names else _named(record.headers() or (), names),
            value=record.value() if json is None or tree.whole else keep(tree, json),
        )

    return project


def _named(headers: Headers, names: frozenset[str] | None) -> tuple[tuple[str, bytes | None], ...]:
    return tuple(header for header in headers if names is None or header[0] in names)


def _excluding(tree: PathTree) -> Project:
    whole, empty = tree.whole, tree.empty

    def project(record: RecordContent, json: JsonValue | None) -> SeenRecord:
        if json is None or empty:
            return SeenRecord(value=record.value())
        return SeenRecord(value=nothing_of(json) if whole else cut(tree, json))

    return project
