"""The filters of many subscriptions, evaluated together on a record that is decoded once.

The answer for each is that of its own Matcher. Filters that are looked up by an equality (equality_index.py) cost
nothing on records that have another value. All others are evaluated one after the other, equal ones once.
"""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Generic, TypeAlias, TypeVar

from webhookd.flow.filters.budget import Budget
from webhookd.flow.filters.comparisons import is_false
from webhookd.flow.filters.compilation import Compiler
from webhookd.flow.filters.costs import spends
from webhookd.flow.filters.decoding import Trace, validate
from webhookd.flow.filters.equality_index import EqualityIndex
from webhookd.flow.filters.equality_predicates import Equality, equalities
from webhookd.flow.filters.expression import Node, parse
from webhookd.flow.filters.matcher import FAULTS
from webhookd.flow.filters.paths import Evaluate, Path, Source, Value
from webhookd.flow.filters.shared_decoding import SharedDecoding

KeyT = TypeVar("KeyT", bound=Hashable)

_Keys: TypeAlias = dict[KeyT, None]
"""A set in the order of insertion."""

_Sources: TypeAlias = tuple[str, ...]


class _Entry(Generic[KeyT]):
    """Equal lists of filters, and the keys that have them. `evaluate` decides about a record that it is asked for."""

    __slots__ = ("evaluate", "filters", "keys", "paths")

    def __init__(self, paths: frozenset[Path], filters: Sequence[Evaluate]) -> None:
        self.paths = paths
        self.filters = filters
        self.keys: _Keys[KeyT] = {}
        self.evaluate = _all_of(filters)

    def look_up_by(self, equality: Equality) -> None:
        """Evaluate only what the look-up by this equality has not decided."""
        place = equality.place
        rest = [*self.filters[:place], *self.filters[place + 1 :]] if equality.whole else self.filters
        self.evaluate = _all_of(rest)


class SharedFilters(Generic[KeyT]):
    """The filters of many keys; not thread-safe.

    `validates` is whether a record is checked to be JSON where no key has a filter.
    """

    def __init__(self, *, validates: bool = True) -> None:
        self._validates = validates
        self._decoding = SharedDecoding()
        self._filters: dict[KeyT, _Sources] = {}
        self._unfiltered: _Keys[KeyT] = {}
        self._entries: dict[_Sources, _Entry[KeyT]] = {}
        self._index: EqualityIndex[_Entry[KeyT]] = EqualityIndex(self._decoding.place, _Entry.look_up_by)
        self._scanned: dict[_Sources, tuple[Evaluate, _Keys[KeyT]]] = {}
        self._on_null: dict[_Sources, tuple[Evaluate, _Keys[KeyT]]] = {}

    def __len__(self) -> int:
        """The number of keys."""
        return len(self._filters)

    def __iter__(self) -> Iterator[KeyT]:
        """The keys."""
        return iter(self._filters)

    def add(self, key: KeyT, filters: Sequence[str]) -> None:
        """Add a new key. Raises InvalidFilter, and ValueError for filters that spend of the budget (costs.spends)."""
        sources = tuple(filters)
        if sources and sources not in self._entries:
            self._add_entry(sources)
        keys = self._entries[sources].keys if sources else self._unfiltered
        keys[key] = None
        self._filters[key] = sources

    def remove(self, key: KeyT) -> None:
        """Remove a key."""
        sources = self._filters.pop(key)
        keys = self._entries[sources].keys if sources else self._unfiltered
        del keys[key]
        if sources and not keys:
            self._remove_entry(sources)

    def match(self, value: bytes | None) -> tuple[list[KeyT], list[KeyT]]:
        """The keys whose filters all accept the record, and those of which a filter failed while none rejected it.

        Raises UndecodableRecord as Matcher.matches does.
        """
        wanted = list(self._unfiltered)
        undecided: list[KeyT] = []
        if not self._entries:
            if self._validates and value is not None:
                validate(value)
            return wanted, undecided
        values = self._decoding.values(value)
        if values is None:
            _sort(self._on_null.values(), None, wanted, undecided)
            return wanted, undecided
        found = self._index.candidates(values)
        if found:
            _sort([(entry.evaluate, entry.keys) for entry in found], values, wanted, undecided)
        if self._scanned:
            _sort(self._scanned.values(), values, wanted, undecided)
        return wanted, undecided

    def _add_entry(self, sources: _Sources) -> None:
        nodes = [parse(source) for source in sources]
        if any(spends(node) for node in nodes):
            raise ValueError("a filter that spends of the budget cannot be shared")
        trace = Trace()
        on_null = _all_of(_compiled(nodes, trace))
        self._decoding.use(trace.paths)
        entry: _Entry[KeyT] = _Entry(frozenset(trace.paths), _compiled(nodes, self._decoding))
        self._entries[sources] = entry
        if not _rejects(on_null, None):
            self._on_null[sources] = on_null, entry.keys
        found = equalities(nodes)
        if found:
            self._index.add(entry, found)
        else:
            self._scanned[sources] = entry.evaluate, entry.keys

    def _remove_entry(self, sources: _Sources) -> None:
        entry = self._entries.pop(sources)
        self._on_null.pop(sources, None)
        if self._scanned.pop(sources, None) is None:
            self._index.remove(entry)
        self._decoding.release(entry.paths)


def _compiled(nodes: Sequence[Node], source: Source) -> list[Evaluate]:
    compiler = Compiler(source, Budget())
    return [compiler.compile(node) for node in nodes]


def _sort(
    entries: Iterable[tuple[Evaluate, _Keys[KeyT]]], values: Value, wanted: list[KeyT], undecided: list[KeyT]
) -> None:
    """Add the keys of each entry to those that want the record, to the undecided ones, or to none of them."""
    for evaluate, keys in entries:
        try:
            result = evaluate(values)
        except FAULTS:
            undecided += keys
            continue
        if result is not False and (result is True or not is_false(result)):
            wanted += keys


def _rejects(evaluate: Evaluate, value: Value) -> bool:
    try:
        return is_false(evaluate(value))
    except FAULTS:
        return False


def _all_of(filters: Sequence[Evaluate]) -> Evaluate:
    """Whether no filter rejects the record; raises what one has raised, if none rejects it."""
    if not filters:
        return _accept
    if len(filters) == 1:
        return filters[0]

    def evaluate(values: Value) -> bool:
        failure: Exception | None = None
        for one in filters:
            try:
                if is_false(one(values)):
                    return False
            except FAULTS as error:
                failure = error
        if failure is not None:
            raise failure
        return True

    return evaluate


def _accept(_values: Value) -> bool:
    return True
