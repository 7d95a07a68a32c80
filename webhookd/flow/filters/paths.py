"""Paths of field names such as `order.customer.id`, and closures that read them from a value.

An expression's paths are known when it is compiled. Only the values at these paths are decoded from a record.
"""

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Protocol, TypeAlias

from webhookd.flow.filters.expression import Node

Value: TypeAlias = Any
"""A value as `json.loads` returns it, or the result of an expression on such a value."""

Evaluate: TypeAlias = Callable[[Value], Value]
"""A compiled expression: takes the current value and returns the result."""

Path: TypeAlias = tuple[str, ...]

_CHAINS = frozenset({"subexpression", "index_expression", "pipe"})
_CURRENT = frozenset({"current", "identity"})


class Source(Protocol):
    """A representation of records in memory, which determines how a path is read."""

    def read(self, path: Path) -> Evaluate:
        """Build a function that returns the value at `path`, or None where there is none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The value that a node is evaluated on: the one at `path` below the root."""

    source: Source
    path: Path = ()


def walk(node: Node, path: Path) -> Path | None:
    """The path that `node` selects, starting at `path`; None unless it consists of field names only."""
    if node.kind == "field":
        return (*path, node.value)
    if node.kind in _CURRENT:
        return path
    if node.kind not in _CHAINS:
        return None
    reached: Path | None = path
    for child in node.children:
        if reached is None:
            return None
        reached = walk(child, reached)
    return reached


class Dictionaries:
    """A source for values as `json.loads` returns them."""

    def read(self, path: Path) -> Evaluate:
        """See Source."""
        if not path:
            return _itself
        if len(path) == 1:
            return _key(path[0])
        return _keys(path)


def _itself(value: Value) -> Value:
    return value


def _key(name: str) -> Evaluate:
    def read(value: Value) -> Value:
        return value.get(name) if value.__class__ is dict else None

    return read


def _keys(path: Path) -> Evaluate:
    def read(value: Value) -> Value:
        for name in path:
            if value.__class__ is not dict:
                return None
            value = value.get(name)
        return value

    return read


def attributes(names: Path) -> Evaluate:
    """Build a function that reads nested attributes; it returns None as soon as one of them is None."""
    if len(names) == 1:
        return attrgetter(names[0])
    outer, inner = attributes(names[:-1]), attrgetter(names[-1])

    def read(value: Value) -> Value:
        found = outer(value)
        return None if found is None else inner(found)

    return read


def composed(first: Evaluate, *following: Evaluate) -> Evaluate:
    """Build a function that applies each function to the result of the previous one."""
    if not following:
        return first
    if len(following) == 1:
        second = following[0]
        return lambda value: second(first(value))

    def evaluate(value: Value) -> Value:
        result = first(value)
        for function in following:
            result = function(result)
        return result

    return evaluate
