"""JMESPath's functions, compiled: the library's own, charged to the budget before they run.

The few that filters really use have a fast way for the types they are meant for; every other type goes to the library,
so that there is one place that knows what is an error.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from jmespath.functions import Functions

from webhookd.flow.filters.budget import BUILT_SHIFT, SCANNED_SHIFT, Budget
from webhookd.flow.filters.paths import Evaluate, Value

_Builder: TypeAlias = Callable[[Sequence[Evaluate], Budget], Evaluate]
_Charge: TypeAlias = Callable[[Budget, list[Value]], None]

_LIBRARY = Functions()
_SIZED = (str, list, dict)
_LONG = 1 << SCANNED_SHIFT


class _Expression:
    """`&expression` as a value; the library recognises it by the name of this class and calls `visit`."""

    __slots__ = ("_budget", "_weight", "expression")

    def __init__(self, expression: Evaluate, weight: int, budget: Budget) -> None:
        self.expression = expression
        self._weight = weight
        self._budget = budget

    def visit(self, expression: Evaluate, value: Value) -> Value:
        """The expression's result for one element; strings are charged because they are compared as keys."""
        self._budget.spend(self._weight)
        result = expression(value)
        if result.__class__ is str:
            self._budget.spend(len(result) >> SCANNED_SHIFT)
        return result


def reference(expression: Evaluate, weight: int, budget: Budget) -> Evaluate:
    """`&expression`."""
    made = _Expression(expression, weight, budget)
    return lambda _value: made


def call(name: str, arguments: Sequence[Evaluate], budget: Budget) -> Evaluate:
    """`name(arguments…)`; name and number of arguments have been checked."""
    build = _FAST.get(name)
    return build(arguments, budget) if build else _library_call(name, arguments, budget)


def _library_call(name: str, arguments: Sequence[Evaluate], budget: Budget) -> Evaluate:
    charge = _CHARGES.get(name, _charge_surfaces)

    def evaluate(value: Value) -> Value:
        given = [argument(value) for argument in arguments]
        charge(budget, given)
        return _LIBRARY.call_function(name, given)

    return evaluate


def _charge_surfaces(budget: Budget, given: list[Value]) -> None:
    for argument in given:
        budget.spend_surface(argument)


def _charge_wholes(budget: Budget, given: list[Value]) -> None:
    for argument in given:
        budget.spend_whole(argument)


def _charge_text(budget: Budget, given: list[Value]) -> None:
    for argument in given:
        budget.spend_whole(argument, BUILT_SHIFT)


def _charge_reverse(budget: Budget, given: list[Value]) -> None:
    (argument,) = given
    if argument.__class__ is str:
        budget.spend(len(argument) >> BUILT_SHIFT)
    budget.spend_surface(argument)


def _charge_join(budget: Budget, given: list[Value]) -> None:
    separator, parts = given
    _charge_text(budget, given)
    if separator.__class__ is str and parts.__class__ is list:
        budget.spend((len(separator) * len(parts)) >> BUILT_SHIFT)


def _charge_contains(budget: Budget, given: list[Value]) -> None:
    """Each element is compared with what is searched, which costs no more than walking the latter."""
    subject, search = given
    if subject.__class__ is list:
        before = budget.left
        budget.spend_whole(search)
        budget.spend(len(subject) * (before - budget.left))


_CHARGES: dict[str, _Charge] = {
    "to_string": _charge_text,
    "reverse": _charge_reverse,
    "join": _charge_join,
    "contains": _charge_contains,
    "sort": _charge_wholes,
    "max": _charge_wholes,
    "min": _charge_wholes,
}


def _length(arguments: Sequence[Evaluate], budget: Budget) -> Evaluate:
    (argument,) = arguments
    del budget

    def evaluate(value: Value) -> Value:
        subject = argument(value)
        return len(subject) if subject.__class__ in _SIZED else _LIBRARY.call_function("length", [subject])

    return evaluate


def _contains(arguments: Sequence[Evaluate], budget: Budget) -> Evaluate:
    first, second = arguments

    def evaluate(value: Value) -> Value:
        subject, search = first(value), second(value)
        if subject.__class__ is str:
            budget.spend(1 + (len(subject) >> SCANNED_SHIFT))
        elif subject.__class__ is list and search.__class__ is str and len(search) < _LONG:
            budget.spend(1 + len(subject))
        else:
            _charge_contains(budget, [subject, search])
            return _LIBRARY.call_function("contains", [subject, search])
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
            return _LIBRARY.call_function(name, [subject, affix])

        return evaluate

    return build


_FAST: dict[str, _Builder] = {
    "length": _length,
    "contains": _contains,
    "starts_with": _affix("starts_with", str.startswith),
    "ends_with": _affix("ends_with", str.endswith),
}
