"""Prices of tree nodes: the steps and bytes that one evaluation of an expression takes, computed from its tree.

A projection multiplies them by the number of its elements. The prices are measured (webhookd-load-test filter-cost), in
steps of about 40 ns. Costs that depend on the values are charged during the evaluation.
"""

from dataclasses import dataclass

from webhookd.flow.filters.expression import Node

_STEPS = {
    "projection": 10,
    "value_projection": 10,
    "filter_projection": 12,
    "flatten": 6,
    "slice": 4,
    "multi_select_list": 8,
    "multi_select_dict": 10,
    "function_expression": 3,
}
"""Steps of a node by its kind; every other kind takes one step."""

_CONTAINER_BYTES = {
    "projection": 64,
    "value_projection": 64,
    "filter_projection": 64,
    "flatten": 64,
    "slice": 64,
    "multi_select_list": 64,
    "multi_select_dict": 200,
}
"""Bytes of the empty list or dictionary that a node builds, by the node's kind."""

_MEMBER_BYTES = 32
"""More bytes for each child of a node that builds a list or dictionary."""

_SPENDING = frozenset({"projection", "value_projection", "filter_projection", "flatten", "function_expression"})
"""Kinds of nodes that charge the budget when they are evaluated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Steps of an evaluation, and the bytes that it builds."""

    steps: int
    built_bytes: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        """The cost of both evaluations."""
        return Cost(steps=self.steps + other.steps, built_bytes=self.built_bytes + other.built_bytes)


def cost(node: Node) -> Cost:
    """The cost of evaluating `node` once, without the elements that it iterates over."""
    if is_constant_list(node):
        return Cost(steps=1)
    built = _CONTAINER_BYTES.get(node.kind, 0)
    total = Cost(
        steps=_STEPS.get(node.kind, 1),
        built_bytes=built + _MEMBER_BYTES * len(node.children) if built else 0,
    )
    for child in node.children:
        total += cost(child)
    return total


def is_constant_list(node: Node) -> bool:
    """Whether `node` is a list of literals, such as `['a', 'b']`, which is built once for all records."""
    return node.kind == "multi_select_list" and all(child.kind == "literal" for child in node.children)


def spends(node: Node) -> bool:
    """Whether evaluating `node` on a record may charge the budget."""
    compares_values = node.kind == "comparator" and all(child.kind != "literal" for child in node.children)
    return compares_values or node.kind in _SPENDING or any(spends(child) for child in node.children)
