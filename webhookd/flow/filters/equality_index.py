"""An index over equalities: finds by look-ups the filters that may accept a record, however many there are.

Each entry is found by one of its equalities. The one is taken whose path has the most different literals: of
`type == 'order' && tenant == 'x'` the tenant, if every entry has another one. Which one is taken does not
change what is accepted. The choice is made again when the number of entries has doubled or halved.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from itertools import chain
from typing import Any, Generic, TypeAlias, TypeVar

from webhookd.flow.filters.equality_predicates import LITERALS, Equality, Guard, Literal
from webhookd.flow.filters.paths import Path, Value

EntryT = TypeVar("EntryT", bound=Hashable)

_Found: TypeAlias = dict[Literal, dict[EntryT, None]]
"""The entries of each literal."""


class EqualityIndex(Generic[EntryT]):
    """Entries by the values that they require at a path; `place` says where a path's value is in a list of values.

    `chosen` is called with an entry and the equality by which it is found, each time that one is chosen.
    """

    def __init__(self, place: Callable[[Path], int], chosen: Callable[[EntryT, Equality], None]) -> None:
        self._place = place
        self._chosen = chosen
        self._choices: dict[EntryT, Sequence[Equality]] = {}
        self._taken: dict[EntryT, Equality] = {}
        self._literals: dict[Path, Counter[Literal]] = {}
        self._found: dict[Path, _Found[EntryT]] = {}
        self._guarded: dict[Guard, dict[EntryT, None]] = {}
        self._lookups: list[tuple[int, _Found[EntryT]]] = []
        self._guards: list[tuple[int, frozenset[type[Any]], dict[EntryT, None]]] = []
        self._listed = True
        self._chosen_at = 0

    def add(self, entry: EntryT, equalities: Sequence[Equality]) -> None:
        """Add an entry, which is found by one of `equalities`."""
        self._choices[entry] = equalities
        for equality in equalities:
            self._literals.setdefault(equality.path, Counter()).update(equality.literals)
        if not self._choose_again():
            self._take(entry)

    def remove(self, entry: EntryT) -> None:
        """Remove an entry."""
        for equality in self._choices.pop(entry):
            counts = self._literals[equality.path]
            counts.subtract(equality.literals)
            for literal in equality.literals:
                if not counts[literal]:
                    del counts[literal]
            if not counts:
                del self._literals[equality.path]
        self._give_up(entry)
        self._choose_again()

    def candidates(self, values: Sequence[Value]) -> list[EntryT]:
        """The entries that may accept a record with these values, or raise an error on it; all others reject it."""
        if not self._listed:
            self._list()
        candidates: list[EntryT] = []
        for place, found in self._lookups:
            value = values[place]
            kind = value.__class__
            if kind in LITERALS and (entries := found.get(value)):
                candidates += entries
        return self._with_raising(candidates, values) if self._guards else candidates

    def _with_raising(self, candidates: list[EntryT], values: Sequence[Value]) -> list[EntryT]:
        raising = [entries for place, types, entries in self._guards if values[place].__class__ in types]
        return list(dict.fromkeys(chain(candidates, *raising))) if raising else candidates

    def _choose_again(self) -> bool:
        """Choose for all entries, if there are twice or half as many as last time."""
        count = len(self._choices)
        if self._chosen_at < 2 * count and count < 2 * self._chosen_at:
            return False
        self._chosen_at = count
        self._found, self._guarded, self._listed = {}, {}, False
        for entry in self._choices:
            self._take(entry)
        return True

    def _take(self, entry: EntryT) -> None:
        equality = max(self._choices[entry], key=lambda one: len(self._literals[one.path]))
        self._taken[entry] = equality
        for literal in equality.literals:
            self._found.setdefault(equality.path, {}).setdefault(literal, {})[entry] = None
        for guard in equality.guards:
            self._guarded.setdefault(guard, {})[entry] = None
        self._listed = False
        self._chosen(entry, equality)

    def _give_up(self, entry: EntryT) -> None:
        equality = self._taken.pop(entry)
        found = self._found[equality.path]
        for literal in equality.literals:
            del found[literal][entry]
            if not found[literal]:
                del found[literal]
        if not found:
            del self._found[equality.path]
        for guard in equality.guards:
            del self._guarded[guard][entry]
            if not self._guarded[guard]:
                del self._guarded[guard]
        self._listed = False

    def _list(self) -> None:
        self._lookups = [(self._place(path), found) for path, found in self._found.items()]
        self._guards = [(self._place(guard.path), guard.types, found) for guard, found in self._guarded.items()]
        self._listed = True
