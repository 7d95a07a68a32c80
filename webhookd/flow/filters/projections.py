"""Projections, slices and selections, compiled: where a record's arrays decide how often something runs."""

from collections.abc import Iterable, Sequence

from webhookd.flow.filters.budget import POINTER_BYTES, Budget
from webhookd.flow.filters.comparisons import is_false
from webhookd.flow.filters.costs import Cost
from webhookd.flow.filters.paths import Evaluate, Value


def index(position: int) -> Evaluate:
    """`[position]` of an array."""

    def evaluate(value: Value) -> Value:
        if value.__class__ is list and -len(value) <= position < len(value):
            return value[position]
        return None

    return evaluate


def section(bounds: tuple[int | None, int | None, int | None]) -> Evaluate:
    """`[start:stop:step]` of an array; a step of 0 is an error on every array."""
    taken = slice(*bounds)
    return lambda value: value[taken] if value.__class__ is list else None


def flattened(base: Evaluate, budget: Budget) -> Evaluate:
    """`base[]`: one level of arrays in an array dissolved."""

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


def projection(base: Evaluate, each: Evaluate, turn: Cost, budget: Budget) -> Evaluate:
    """`base[*].each`; `turn` is what one element costs."""
    steps, built = turn.steps, POINTER_BYTES + turn.built_bytes

    def evaluate(value: Value) -> Value:
        elements = base(value)
        if elements.__class__ is not list:
            return None
        budget.spend(len(elements) * steps, len(elements) * built)
        return _present(map(each, elements))

    return evaluate


def value_projection(base: Evaluate, each: Evaluate, turn: Cost, budget: Budget) -> Evaluate:
    """`base.*.each`."""
    steps, built = turn.steps, POINTER_BYTES + turn.built_bytes

    def evaluate(value: Value) -> Value:
        members = base(value)
        if members.__class__ is not dict:
            return None
        budget.spend(len(members) * steps, len(members) * built)
        return _present(map(each, members.values()))

    return evaluate


def filter_projection(base: Evaluate, each: Evaluate, wanted: Evaluate, turn: Cost, budget: Budget) -> Evaluate:
    """`base[?wanted].each`; `turn` is what each and wanted cost."""
    steps, built = turn.steps, POINTER_BYTES + turn.built_bytes

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
    """`[a, b]`."""

    def evaluate(value: Value) -> Value:
        return None if value is None else [part(value) for part in parts]

    return evaluate


def constant_list(literals: list[Value]) -> Evaluate:
    """`['a', 'b']`: one list for all records; no function changes its arguments."""
    return lambda value: None if value is None else literals


def selected_object(parts: Sequence[tuple[str, Evaluate]]) -> Evaluate:
    """`{name: a, other: b}`; of a name given twice the last counts, and every part is evaluated."""

    def evaluate(value: Value) -> Value:
        return None if value is None else {name: part(value) for name, part in parts}

    return evaluate
