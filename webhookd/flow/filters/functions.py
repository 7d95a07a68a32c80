"""Closures for JMESPath's functions: each call is charged to the budget (`charges`), then the library runs it.

Functions that filters often use on each element of an array have a fast implementation here for valid argument types.
Calls with any other type go to the library, so that the library alone decides what is an error.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

from jmespath.functions import Functions

from webhookd.flow.filters.budget import POINTER_BYTES, SCANNED_SHIFT, WRITTEN_SHIFT, Budget
from webhookd.flow.filters.charges import CALL_STEPS, DIGITS_SHIFT, charge, charge_contains
from webhookd.flow.filters.costs import Cost
from webhookd.flow.filters.paths import Evaluate, Value

_Builder: TypeAlias = Callable[[Sequence[Evaluate], Budget], Evaluate]

_LIBRARY = Functions()
_SIZED = (str, list, dict)
_NUMBERS = (int, float)
_LONG = 1 << SCANNED_SHIFT

_FEW = 8
"""Elements that can be compared with a short string at no more than the cost of the call itself."""

_AGGREGATE_STEPS = 20
"""Steps of an aggregate function such as sum(), besides one for each element."""

_READ_STEPS = 25
"""Steps of to_number(), besides those for the length: a string that is not an integer is parsed twice."""

_BUILT_BYTES = 64
"""An empty array, or a short string."""

_TYPE_NAMES = {
    str: "string",
    bool: "boolean",
    list: "array",
    dict: "object",
    float: "number",
    int: "number",
    type(None): "null",
}


class _Expression:
    """`&expression` as a value. The library recognises it by this class' name (`_Expression`) and calls `visit`."""

    __slots__ = ("_budget", "_element_cost", "expression")

    def __init__(self, expression: Evaluate, element_cost: Cost, budget: Budget) -> None:
        self.expression = expression
        self._element_cost = element_cost
        self._budget = budget

    def visit(self, expression: Evaluate, value: Value) -> Value:
        """Evaluate the expression on one element; string results are charged, as the library compares them as keys."""
        self._budget.spend(self._element_cost.steps, self._element_cost.built_bytes)
        result = expression(value)
        if result.__class__ is str:
            self._budget.spend(len(result) >> SCANNED_SHIFT)
        return result


def reference(expression: Evaluate, element_cost: Cost, budget: Budget) -> Evaluate:
    """`&expression`."""
    made = _Expression(expression, element_cost, budget)
    return lambda _value: made


def call(name: str, arguments: Sequence[Evaluate], budget: Budget) -> Evaluate:
    """`name(arguments…)`; the name and the number of arguments are checked by `expression.parse`."""
    build = _FAST.get(name)
    return build(arguments, budget) if build else _from_library(name, arguments, budget)


def _from_library(name: str, arguments: Sequence[Evaluate], budget: Budget) -> Evaluate:
    def evaluate(value: Value) -> Value:
        return _call_library(name, [argument(value) for argument in arguments], budget)

    return evaluate


def _call_library(name: str, given: list[Value], budget: Budget) -> Value:
    budget.spend(CALL_STEPS)
    charge(name, budget, given)
    return _LIBRARY.call_function(name, given)


def _length(arguments: Sequence[Evaluate], budget: Budget) -> Evaluate:
    (argument,) = arguments

    def evaluate(value: Value) -> Value:
        subject = argument(value)
        return len(subject) if subject.__class__ in _SIZED else _call_library("length", [subject], budget)

    return evaluate


def _contains(arguments: Sequence[Evaluate], budget: Budget) -> Evaluate:
    first, second = arguments

    def evaluate(value: Value) -> Value:
        subject, search = first(value), second(value)
        if subject.__class__ is str:
            budget.spend(1 + (len(subject) >> SCANNED_SHIFT))
        elif subject.__class__ is list and search.__class__ is str and len(search) < _LONG:
            if len(subject) > _FEW:
                budget.spend(1 + len(subject))
        elif subject.__class__ is list:
            charge_contains(budget, subject, search)
        else:
            return _call_library("contains", [subject, search], budget)
        return search in subject

    return evaluate


def _affix(name: str, test: Callable[[str, str], bool]) -> _Builder:
    def build(arguments: Sequence[Evaluate], budget: Budget) -> Evaluate:
        first, second = arguments

        def evaluate(value: Value) -> Value:
            subject, affix = first(value), second(value)
            if subject.__class__ is str and affix.__class__ is str:
                if len(affix) > _LONG:
                    budget.spend(len(affix) >> SCANNED_SHIFT)
                return test(subject, affix)
            return _call_library(name, [subject, affix], budget)

        return evaluate

    return build


def _numeric(name: str, function: Callable[[Value], Value]) -> _Builder:
    """A builder for a function of one number."""

    def build(arguments: Sequence[Evaluate], budget: Budget) -> Evaluate:
        (argument,) = arguments

        def evaluate(value: Value) -> Value:
            number = argument(value)
            return function(number) if number.__class__ in _NUMBERS else _call_library(name, [number], budget)

        return evaluate

    return build


def _to_number(arguments: Sequence[Evaluate], budget: Budget) -> Evaluate:
    (argument,) = arguments

    def evaluate(value: Value) -> Value:
        given = argument(value)
        if given.__class__ in _NUMBERS:
            return given
        if given.__class__ is not str:
            return _call_library("to_number", [given], budget)
        budget.spend(_READ_STEPS + (len(given) >> DIGITS_SHIFT))
        return _number(given)

    return evaluate


def _number(text: str) -> Value:
    for read in _NUMBERS:
        try:
            return read(text)
        except ValueError:
            continue
    return None


def _to_string(arguments: Sequence[Evaluate], budget: Budget) -> Evaluate:
    (argument,) = arguments

    def evaluate(value: Value) -> Value:
        given = argument(value)
        if given.__class__ is str:
            return given
        if given.__class__ is int:
            budget.spend(given.bit_length() >> WRITTEN_SHIFT, _BUILT_BYTES + given.bit_length())
            return str(given)
        if given.__class__ is float and math.isfinite(given):
            return repr(given)
        return _call_library("to_string", [given], budget)

    return evaluate


def _to_array(arguments: Sequence[Evaluate], budget: Budget) -> Evaluate:
    (argument,) = arguments

    def evaluate(value: Value) -> Value:
        given = argument(value)
        if given.__class__ is list:
            return given
        budget.spend(2, _BUILT_BYTES)
        return [given]

    return evaluate


def _type(arguments: Sequence[Evaluate], budget: Budget) -> Evaluate:
    (argument,) = arguments
    del budget
    return lambda value: _TYPE_NAMES.get(argument(value).__class__)


def _not_null(arguments: Sequence[Evaluate], budget: Budget) -> Evaluate:
    del budget

    def evaluate(value: Value) -> Value:
        for given in [argument(value) for argument in arguments]:
            if given is not None:
                return given
        return None

    return evaluate


def _members(name: str, take: Callable[[Value], Value]) -> _Builder:
    def build(arguments: Sequence[Evaluate], budget: Budget) -> Evaluate:
        (argument,) = arguments

        def evaluate(value: Value) -> Value:
            given = argument(value)
            if given.__class__ is not dict:
                return _call_library(name, [given], budget)
            budget.spend(1 + len(given), _BUILT_BYTES + POINTER_BYTES * len(given))
            return list(take(given))

        return evaluate

    return build


def _aggregate(name: str, compute: Callable[[list[Value]], Value], *kinds: frozenset[type]) -> _Builder:
    """A builder for a function of an array; `kinds` are the sets of element types with a fast implementation."""

    def build(arguments: Sequence[Evaluate], budget: Budget) -> Evaluate:
        (argument,) = arguments

        def evaluate(value: Value) -> Value:
            given = argument(value)
            if given.__class__ is list:
                budget.spend(_AGGREGATE_STEPS + len(given))
                found = set(map(type, given))
                if any(found <= kind for kind in kinds):
                    charge(name, budget, [given])
                    return compute(given)
            return _call_library(name, [given], budget)

        return evaluate

    return build


def _average(numbers: list[Value]) -> Value:
    return sum(numbers) / len(numbers) if numbers else None


_ALL_NUMBERS = frozenset(_NUMBERS)
_ALL_STRINGS = frozenset({str})

_FAST: dict[str, _Builder] = {
    "length": _length,
    "contains": _contains,
    "starts_with": _affix("starts_with", str.startswith),
    "ends_with": _affix("ends_with", str.endswith),
    "abs": _numeric("abs", abs),
    "ceil": _numeric("ceil", math.ceil),
    "floor": _numeric("floor", math.floor),
    "to_number": _to_number,
    "to_string": _to_string,
    "to_array": _to_array,
    "type": _type,
    "not_null": _not_null,
    "keys": _members("keys", dict.keys),
    "values": _members("values", dict.values),
    "sum": _aggregate("sum", sum, _ALL_NUMBERS),
    "avg": _aggregate("avg", _average, _ALL_NUMBERS),
    "max": _aggregate("max", partial(max, default=None), _ALL_NUMBERS, _ALL_STRINGS),
    "min": _aggregate("min", partial(min, default=None), _ALL_NUMBERS, _ALL_STRINGS),
    "sort": _aggregate("sort", sorted, _ALL_NUMBERS, _ALL_STRINGS),
}
