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

import msgspec
from msgspec import Raw

from webhookd.errors import FilterTooCostly, InvalidInput, ProjectionFailed
from webhookd.flow.authorization.compiled import ParsedExpressions
from webhookd.flow.authorization.exact_values import ExactValue
from webhookd.flow.authorization.projection_paths import PathTree, RecordPaths, parse_paths
from webhookd.flow.authorization.raw_values import (
    NOTHING,
    elements,
    is_null,
    joined_elements,
    joined_members,
    members,
)
from webhookd.flow.authorization.record_source import RecordRoot
from webhookd.flow.authorization.seen_record import Headers, RecordContent, SeenRecord
from webhookd.flow.filters.budget import Budget
from webhookd.flow.filters.matcher import FAULTS, reason
from webhookd.flow.filters.paths import Dictionaries
from webhookd.flow.policy.policy import Projection, ProjectionKind

Project: TypeAlias = Callable[[RecordContent], SeenRecord]
"""Returns what is seen of a record whose value is valid JSON without duplicate names; raises ProjectionFailed."""


def compile_projection(projection: Projection | None, budget: Budget) -> Project:
    """Compile a projection. Raises InvalidInput, whose field is the place in the projection: `include[2]`."""
    if projection is None:
        return _whole
    if projection.kind is ProjectionKind.EXPRESSION:
        return _Expression(projection.expression, budget).project
    try:
        paths = parse_paths(projection.paths)
    except InvalidInput as error:
        raise InvalidInput(error.detail, field=f"{projection.kind.value}{error.field}") from error
    return _excluding(paths.value) if projection.kind is ProjectionKind.EXCLUDE else _including(paths)


def _whole(record: RecordContent) -> SeenRecord:
    return SeenRecord(key=record.key(), headers=tuple(record.headers() or ()), value=record.value())


def _including(paths: RecordPaths) -> Project:
    tree, names = paths.value, paths.headers

    def project(record: RecordContent) -> SeenRecord:
        key = record.key() if paths.key else None
        headers = () if names is not None and not names else _named(record.headers() or (), names)
        value = record.value()
        if value is None:
            return SeenRecord(key=key, headers=headers)
        kept = keep(tree, Raw(value))
        if kept is None:
            kept = _nothing_of(value)
        return SeenRecord(key=key, headers=headers, value=bytes(kept))

    return project


def _named(headers: Headers, names: frozenset[str] | None) -> tuple[tuple[str, bytes | None], ...]:
    return tuple(header for header in headers if names is None or header[0] in names)


def _nothing_of(value: bytes) -> Raw:
    """What is seen of a value of which no path names anything: an empty object, if it is an object."""
    raw = Raw(value)
    if is_null(raw):
        return raw
    if members(raw) is None:
        raise ProjectionFailed("the value has another type than the paths have")
    return joined_members({})


def _excluding(tree: PathTree) -> Project:
    whole = tree.whole

    def project(record: RecordContent) -> SeenRecord:
        value = record.value()
        if value is None:
            return SeenRecord()
        if whole:
            return SeenRecord(value=bytes(_nothing_of(value)))
        if tree.empty:
            return SeenRecord(value=value)
        return SeenRecord(value=bytes(cut(tree, Raw(value))))

    return project


def keep(tree: PathTree, value: Raw) -> Raw | None:
    """The parts of a value that the paths name; None if they cannot name anything in a value of its type."""
    if tree.whole:
        return value
    found = members(value) if tree.members else None
    if found is not None:
        kept = {
            name: part
            for name, raw in found.items()
            if name in tree.members and (part := keep(tree.members[name], raw)) is not None
        }
        return joined_members(kept)
    if tree.elements is None or (listed := elements(value)) is None:
        return None
    return joined_elements([part for raw in listed if (part := keep(tree.elements, raw)) is not None])


def cut(tree: PathTree, value: Raw) -> Raw:
    """The value without the parts that the paths name. Raises ProjectionFailed if a path has another type."""
    found = members(value) if tree.members else None
    if found is not None:
        for name, below in tree.members.items():
            part = found.get(name)
            if part is None:
                continue
            if below.whole:
                del found[name]
            else:
                found[name] = cut(below, part)
        return joined_members(found)
    listed = elements(value) if tree.elements is not None else None
    if listed is not None and tree.elements is not None:
        return NOTHING if tree.elements.whole else joined_elements([cut(tree.elements, part) for part in listed])
    if is_null(value):
        return value
    raise ProjectionFailed("a value has another type than a path to exclude has")


class _Expression:
    """A projection that builds the value with an expression."""

    def __init__(self, source: str, budget: Budget) -> None:
        try:
            parsed = ParsedExpressions([source])
        except InvalidInput as error:
            error.field = "expression"
            raise
        self._reads_record = parsed.reads_record
        self._budget = budget
        (self._evaluate,) = parsed.compiled(Dictionaries(), budget)

    def project(self, record: RecordContent) -> SeenRecord:
        """See Project."""
        value = record.value()
        headers = record.headers() or () if self._reads_record else ()
        self._budget.refill(value or b"")
        exact = ExactValue(b"null" if value is None else value)
        root = RecordRoot(exact.value, record.key(), headers) if self._reads_record else exact.value
        try:
            result = self._evaluate(root)
            self._budget.spend_whole(result, written=True)
            written = exact.written(result)
        except FilterTooCostly as error:
            raise ProjectionFailed("the expression took more steps, or built a larger value, than it may") from error
        except (*FAULTS, msgspec.MsgspecError) as error:
            raise ProjectionFailed(f"the expression: {reason(error)}") from error
        if result is not None:
            return SeenRecord(value=written)
        if exact.value is not None:
            raise ProjectionFailed("the expression has the result null")
        return SeenRecord(value=value)
