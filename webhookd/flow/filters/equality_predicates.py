"""Finds the equalities of filters by which they can be looked up: `tenant == 'x'`, ANDed with anything.

A record passes such a filter only if the value at the path is one of the literals. If it is another value, the filter
rejects the record, whatever the rest of the filter says. This must be certain, so:

- The literals are strings and numbers. The index compares them as JMESPath does: 1 and 1.0 are equal, true is not 1.
- What is evaluated before the equality must not raise an error, because a filter that raises has not rejected the
  record. `amount > `5` && tenant == 'x'` raises where amount is a string. So the equality has a guard: it counts only
  for records in which amount is none.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from webhookd.flow.filters.expression import Node
from webhookd.flow.filters.paths import Path, walk

Literal: TypeAlias = str | int | float

LITERALS = frozenset({str, int, float})
"""The types of the values that are looked up; bool is none of them."""

_NUMBERS = frozenset({int, float})
_STRINGS = frozenset({str})
_COMBINED = frozenset({"comparator", "not_expression", "and_expression", "or_expression"})
_STEPS = frozenset({"field", "index", "current", "identity", "subexpression", "index_expression", "pipe"})
"""Nodes that select one value. They never raise."""


@dataclass(frozen=True, slots=True)
class Guard:
    """What raises an error if the value at `path` has one of `types`: comparing its order with a literal."""

    path: Path
    types: frozenset[type[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Equality:
    """The value at `path` is one of `literals`, or filter number `place` rejects the record if no guard applies.

    `whole` is whether the filter says nothing else, so that it accepts the record if the value is one of them.
    """

    path: Path
    literals: frozenset[Literal]
    place: int
    guards: frozenset[Guard] = frozenset()
    whole: bool = False


def equalities(filters: Sequence[Node]) -> list[Equality]:
    """The equalities of filters that are ANDed, each of which can be used alone."""
    return [equality for place, node in enumerate(filters) for equality in _of_filter(place, node)]


def _of_filter(place: int, node: Node) -> Iterator[Equality]:
    parts = list(_operands(node, "and_expression"))
    guards: frozenset[Guard] = frozenset()
    for part in parts:
        found = _equality(part)
        if found is not None:
            path, literals = found
            yield Equality(path=path, literals=literals, place=place, guards=guards, whole=len(parts) == 1)
        risks = _guards(part)
        if risks is None:
            return
        guards |= risks


def _operands(node: Node, kind: str) -> Iterator[Node]:
    """The operands of an operator from left to right; parentheses do not matter, since it is associative."""
    if node.kind != kind:
        yield node
        return
    for child in node.children:
        yield from _operands(child, kind)


def _equality(node: Node) -> tuple[Path, frozenset[Literal]] | None:
    """The path and the literals of `a == 'x'`, or of `a == 'x' || a == 'y'`."""
    found = [_single(operand) for operand in _operands(node, "or_expression")]
    paths = {one[0] for one in found if one is not None}
    if None in found or len(paths) != 1:
        return None
    return paths.pop(), frozenset(one[1] for one in found if one is not None)


def _single(node: Node) -> tuple[Path, Literal] | None:
    if node.kind != "comparator" or node.value != "eq":
        return None
    left, right = _literal_last(node)
    path, literal = walk(left, ()), right.value
    kind = literal.__class__
    return None if path is None or right.kind != "literal" or kind not in LITERALS else (path, literal)


def _literal_last(node: Node) -> tuple[Node, Node]:
    left, right = node.children
    return (right, left) if left.kind == "literal" else (left, right)


def _guards(node: Node) -> frozenset[Guard] | None:
    """Where the evaluation of a node raises an error; None where that is not known."""
    if node.kind == "literal" or _selects(node):
        return frozenset()
    if node.kind == "comparator" and node.value not in {"eq", "ne"}:
        return _ordering_guards(node)
    if node.kind in _COMBINED:
        found = [_guards(child) for child in node.children]
        return None if None in found else frozenset().union(*(one for one in found if one is not None))
    return None


def _selects(node: Node) -> bool:
    return node.kind in _STEPS and all(_selects(child) for child in node.children)


def _ordering_guards(node: Node) -> frozenset[Guard] | None:
    """A number that is compared with a string raises an error; all other types give null."""
    left, right = _literal_last(node)
    path = walk(left, ())
    if path is None or right.kind != "literal":
        return None
    kind = right.value.__class__
    if kind not in LITERALS:
        return frozenset()
    return frozenset({Guard(path, _NUMBERS if kind is str else _STRINGS)})
