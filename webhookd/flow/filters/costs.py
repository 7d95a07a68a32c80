"""What one evaluation of an expression costs in a projection, known from its tree: prices for `budget`.

Measured (load-test/filter_cost.py), in steps of some 40 ns; what depends on the values is taken when it is known.
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
"""Every other node is one step."""

_CONTAINER_BYTES = {
    "projection": 64,
    "value_projection": 64,
    "filter_projection": 64,
    "flatten": 64,
    "slice": 64,
    "multi_select_list": 64,
    "multi_select_dict": 200,
}

_MEMBER_BYTES = 32
"""For each child of what builds a container."""

_SPENDING = frozenset({"projection", "value_projection", "filter_projection", "flatten", "function_expression"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Steps, and the bytes of what is built meanwhile."""

    steps: int
    built_bytes: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        """Both, one after the other."""
        return Cost(steps=self.steps + other.steps, built_bytes=self.built_bytes + other.built_bytes)


def cost(node: Node) -> Cost:
    """What evaluating `node` once costs, its own elements not counted."""
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
    """Whether it is a list of literals: `['a', 'b']`, built once for all records."""
    return node.kind == "multi_select_list" and all(child.kind == "literal" for child in node.children)


def spends(node: Node) -> bool:
    """Whether evaluating `node` from the root may take anything from a budget."""
    compares_values = node.kind == "comparator" and all(child.kind != "literal" for child in node.children)
    return compares_values or node.kind in _SPENDING or any(spends(child) for child in node.children)
