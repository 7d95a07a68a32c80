"""Prices of function calls: what a call of one of the library's functions takes from the budget, by its arguments."""

from collections.abc import Callable
from typing import TypeAlias

from webhookd.flow.filters.budget import CHARACTER_BYTES, POINTER_BYTES, WRITTEN_SHIFT, Budget
from webhookd.flow.filters.paths import Value

_Charge: TypeAlias = Callable[[Budget, list[Value]], None]

CALL_STEPS = 60
"""For each call: the library checks the types of the arguments every time."""

_ENCODER_STEPS = 30
"""For each array or object that is written as JSON: the library creates a new encoder every time."""

_KEYED_STEPS = 6
"""For each element, besides evaluating the key expression: the library checks the key's type."""

_MEMBER_BYTES = 104
"""One member of an object in memory."""

DIGITS_SHIFT = 2
"""One step pays for 4 (2 to the power of 2) characters that are read as a number."""


def charge(name: str, budget: Budget, given: list[Value]) -> None:
    """Charge a call of the function with these arguments; FilterTooCostly when the budget does not suffice."""
    _CHARGES.get(name, _surfaces)(budget, given)


def charge_contains(budget: Budget, subject: list[Value], search: Value) -> None:
    """Charge a search in an array: one comparison an element, each at most as costly as a visit to all of `search`."""
    budget.spend(len(subject) * budget.spend_whole(search))


def _surfaces(budget: Budget, given: list[Value]) -> None:
    for argument in given:
        budget.spend_surface(argument)


def _members(budget: Budget, given: list[Value]) -> None:
    for argument in given:
        budget.spend_surface(argument, 2, _MEMBER_BYTES)


def _elements(budget: Budget, given: list[Value]) -> None:
    for argument in given:
        budget.spend_surface(argument, 2, 0)


def _wholes(budget: Budget, given: list[Value]) -> None:
    for argument in given:
        budget.spend_whole(argument)


def _written(budget: Budget, given: list[Value]) -> None:
    for argument in given:
        budget.spend(_ENCODER_STEPS + budget.spend_whole(argument, written=True))


def _reversed(budget: Budget, given: list[Value]) -> None:
    (argument,) = given
    if argument.__class__ is str:
        budget.spend(len(argument) >> WRITTEN_SHIFT, len(argument) * CHARACTER_BYTES)
    budget.spend_surface(argument)


def _joined(budget: Budget, given: list[Value]) -> None:
    separator, parts = given
    if separator.__class__ is not str or parts.__class__ is not list:
        return
    budget.spend(1 + 2 * len(parts))
    characters = len(separator) * len(parts) + sum(len(part) for part in parts if part.__class__ is str)
    budget.spend(characters >> WRITTEN_SHIFT, characters * CHARACTER_BYTES)


def _sorting(budget: Budget, elements: Value) -> None:
    if elements.__class__ is list:
        budget.spend((len(elements) * len(elements).bit_length()) >> 2, 2 * POINTER_BYTES * len(elements))


def _sorted(budget: Budget, given: list[Value]) -> None:
    _wholes(budget, given)
    _sorting(budget, given[0])


def _mapped(budget: Budget, given: list[Value]) -> None:
    budget.spend_surface(given[1], 3)


def _keyed(budget: Budget, given: list[Value]) -> None:
    for argument in given:
        budget.spend_surface(argument, _KEYED_STEPS)


def _sorted_by(budget: Budget, given: list[Value]) -> None:
    _keyed(budget, given)
    _sorting(budget, given[0])


_CHARGES: dict[str, _Charge] = {
    "avg": _elements,
    "join": _joined,
    "map": _mapped,
    "max": _wholes,
    "max_by": _keyed,
    "merge": _members,
    "min": _wholes,
    "min_by": _keyed,
    "reverse": _reversed,
    "sort": _sorted,
    "sort_by": _sorted_by,
    "sum": _elements,
    "to_string": _written,
}
