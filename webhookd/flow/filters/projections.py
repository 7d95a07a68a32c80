"""Closures for projections, slices and multi-selects.

A projection runs once for each element of an array in the record, so it charges the budget before it starts.
"""

from collections.abc import Iterable, Sequence

from webhookd.flow.filters.budget import POINTER_BYTES, Budget
from webhookd.flow.filters.comparisons import is_false
from webhookd.flow.filters.costs import Cost
from webhookd.flow.filters.paths import Evaluate, Value


def index(position: int) -> Evaluate:
    """`[position]`: an element of an array; null for other values and outside the array."""

    def evaluate(value: Value) -> Value:
        if value.__class__ is list and -len(value) <= position < len(value):
            return value[position]
        return None

    return evaluate


def section(bounds: tuple[int | None, int | None, int | None]) -> Evaluate:
    """`[start:stop:step]`: a slice of an array; null for other values. A step of 0 raises ValueError on any array."""
    taken = slice(*bounds)
    return lambda value: value[taken] if value.__class__ is list else None


def flattened(base: Evaluate, budget: Budget) -> Evaluate:
    """`base[]`: the elements of an array, with the elements of arrays inside it in their place (one level)."""

    def evaluate(value: Value) -> Value:
        outer = base(value)
        if outer.__class__ is not list:
            return None
        budget.spend(2 * len(outer), POINTER_BYTES * len(outer))
        merged: list[Value] = []
        for element in outer:
            if element.__class__ is list:
                budget.spend(len(element), POINTER_BYTES * len(element))
                merged.extend(element)
            else:
                merged.append(element)
        return merged

    return evaluate


def projection(base: Evaluate, each: Evaluate, element_cost: Cost, budget: Budget) -> Evaluate:
    """`base[*].each`: `each` of every element of an array; `element_cost` is the cost of one element."""
    steps, built = element_cost.steps, POINTER_BYTES + element_cost.built_bytes

    def evaluate(value: Value) -> Value:
        elements = base(value)
        if elements.__class__ is not list:
            return None
        budget.spend(len(elements) * steps, len(elements) * built)
        return _present(map(each, elements))

    return evaluate


def value_projection(base: Evaluate, each: Evaluate, element_cost: Cost, budget: Budget) -> Evaluate:
    """`base.*.each`: `each` of every value of an object; `element_cost` is the cost of one value."""
    steps, built = element_cost.steps, POINTER_BYTES + element_cost.built_bytes

    def evaluate(value: Value) -> Value:
        members = base(value)
        if members.__class__ is not dict:
            return None
        budget.spend(len(members) * steps, len(members) * built)
        return _present(map(each, members.values()))

    return evaluate


def filter_projection(base: Evaluate, each: Evaluate, wanted: Evaluate, element_cost: Cost, budget: Budget) -> Evaluate:
    """`base[?wanted].each`; `element_cost` is the cost of `wanted` and `each` on one element."""
    steps, built = element_cost.steps, POINTER_BYTES + element_cost.built_bytes

    def evaluate(value: Value) -> Value:
        elements = base(value)
        if elements.__class__ is not list:
            return None
        budget.spend(len(elements) * steps, len(elements) * built)
        return _present(each(element) for element in elements if not is_false(wanted(element)))

    return evaluate


def _present(results: Iterable[Value]) -> list[Value]:
    return [result for result in results if result is not None]


def selected_list(parts: Sequence[Evaluate]) -> Evaluate:
    """`[a, b]`: a list of results; null for null."""

    def evaluate(value: Value) -> Value:
        return None if value is None else [part(value) for part in parts]

    return evaluate


def constant_list(literals: list[Value]) -> Evaluate:
    """`['a', 'b']`: the same list for all records, which is safe because no function modifies its arguments."""
    return lambda value: None if value is None else literals


def selected_object(parts: Sequence[tuple[str, Evaluate]]) -> Evaluate:
    """`{name: a, other: b}`; all parts are evaluated, and the last one wins where a name occurs twice."""

    def evaluate(value: Value) -> Value:
        return None if value is None else {name: part(value) for name, part in parts}

    return evaluate
