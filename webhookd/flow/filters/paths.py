"""Paths of field names from a value: `order.customer.id`, known before any record is.

What an expression reads from the root of a record by such paths is all that has to be decoded of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Protocol, TypeAlias

from webhookd.flow.filters.expression import Node

Value: TypeAlias = Any
"""What `json.loads` makes of JSON, or what an expression makes of that."""

Evaluate: TypeAlias = Callable[[Value], Value]
"""A compiled expression: the current value in, the result out."""

Path: TypeAlias = tuple[str, ...]

_CHAINS = frozenset({"subexpression", "index_expression", "pipe"})
_CURRENT = frozenset({"current", "identity"})


class Source(Protocol):
    """How a value is held, and so how a path is read from it."""

    def read(self, path: Path) -> Evaluate:
        """A function that answers what stands at `path`, None where nothing does."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Where an expression is evaluated: at `path` below the value it is given."""

    source: Source
    path: Path = ()


def walk(node: Node, path: Path) -> Path | None:
    """The path that `node` leads to from `path`; None when it is more than field names."""
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
    """A value as `json.loads` makes it."""

    def read(self, path: Path) -> Evaluate:
        """As Source says."""
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
    """Read through nested objects that are None where the record has nothing."""
    if len(names) == 1:
        return attrgetter(names[0])
    outer, inner = attributes(names[:-1]), attrgetter(names[-1])

    def read(value: Value) -> Value:
        found = outer(value)
        return None if found is None else inner(found)

    return read


def composed(first: Evaluate, *following: Evaluate) -> Evaluate:
    """Each function applied to the result of the one before."""
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
