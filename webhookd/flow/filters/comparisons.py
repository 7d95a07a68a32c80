"""Closures for comparisons and logic.

Most filters consist of these, so a comparison with a literal has a closure of its own, which checks the literal's type
once, when it is compiled.
"""

import operator
from collections.abc import Callable, Sequence

from webhookd.flow.filters.budget import SCANNED_SHIFT, Budget
from webhookd.flow.filters.paths import Evaluate, Value

_NUMBERS = (int, float)
_ORDERED = (int, float, str)
_LONG = 1 << SCANNED_SHIFT
_ORDERINGS: dict[str, Callable[[Value, Value], bool]] = {
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
}


def is_false(value: Value) -> bool:
    """Whether JMESPath treats a value as false: null, false, and empty strings, arrays and objects; never a number."""
    return not value and value.__class__ not in _NUMBERS


def equals_literal(read: Evaluate, literal: Value) -> Evaluate:
    """`read == literal`. JMESPath distinguishes true from 1, except inside arrays and objects (as the library does)."""
    if literal is None or isinstance(literal, bool):
        return lambda value: read(value) is literal
    if isinstance(literal, (int, float)) and literal in {0, 1}:

        def evaluate(value: Value) -> bool:
            found = read(value)
            return bool(found == literal and found.__class__ is not bool)

        return evaluate
    return lambda value: read(value) == literal


def equals(left: Evaluate, right: Evaluate, budget: Budget) -> Evaluate:
    """`left == right`, where neither is a literal; charges arrays, objects and long strings to the budget."""

    def evaluate(value: Value) -> bool:
        one, other = left(value), right(value)
        kind = one.__class__
        if kind is not other.__class__:
            return bool(one == other and kind is not bool and other.__class__ is not bool)
        if kind is list or kind is dict:
            if len(one) != len(other):
                return False
            budget.spend_whole(one)
        elif kind is str and len(one) > _LONG:
            budget.spend(len(one) >> SCANNED_SHIFT)
        return bool(one == other)

    return evaluate


def ordering(name: str, left: Evaluate, right: Evaluate, budget: Budget) -> Evaluate:
    """`<`, `<=`, `>` or `>=`: null unless both are numbers or strings; a number with a string raises TypeError."""
    compare = _ORDERINGS[name]

    def evaluate(value: Value) -> bool | None:
        one, other = left(value), right(value)
        if one.__class__ not in _ORDERED or other.__class__ not in _ORDERED:
            return None
        if one.__class__ is str and len(one) > _LONG:
            budget.spend(len(one) >> SCANNED_SHIFT)
        return compare(one, other)

    return evaluate


def orders_literal(name: str, read: Evaluate, literal: Value) -> Evaluate:
    """`<`, `<=`, `>` or `>=` with a literal on the right; results and errors as in `ordering`."""
    compare = _ORDERINGS[name]
    comparable = literal.__class__ in _ORDERED

    def evaluate(value: Value) -> bool | None:
        found = read(value)
        return compare(found, literal) if comparable and found.__class__ in _ORDERED else None

    return evaluate


def literal_orders(name: str, literal: Value, read: Evaluate) -> Evaluate:
    """`<`, `<=`, `>` or `>=` with a literal on the left; results and errors as in `ordering`.

    It charges nothing to the budget: the literal bounds the cost, and costs.spends counts on it.
    """
    compare = _ORDERINGS[name]
    comparable = literal.__class__ in _ORDERED

    def evaluate(value: Value) -> bool | None:
        found = read(value)
        return compare(literal, found) if comparable and found.__class__ in _ORDERED else None

    return evaluate


def negation(inner: Evaluate) -> Evaluate:
    """`!inner`."""

    def evaluate(value: Value) -> bool:
        result = inner(value)
        return not result and result.__class__ not in _NUMBERS

    return evaluate


def conjunction(parts: Sequence[Evaluate]) -> Evaluate:
    """`a && b && …`: the first result that JMESPath treats as false, otherwise the last result."""
    *leading, last = parts

    def evaluate(value: Value) -> Value:
        for part in leading:
            result = part(value)
            if not result and result.__class__ not in _NUMBERS:
                return result
        return last(value)

    return evaluate


def disjunction(parts: Sequence[Evaluate]) -> Evaluate:
    """`a || b || …`: the first result that JMESPath does not treat as false, otherwise the last result."""
    *leading, last = parts

    def evaluate(value: Value) -> Value:
        for part in leading:
            result = part(value)
            if result or result.__class__ in _NUMBERS:
                return result
        return last(value)

    return evaluate


def opposite(equal: Evaluate) -> Evaluate:
    """`!=`, from a compiled `==`."""
    return lambda value: not equal(value)
