"""Decodes a record once for the expressions of many subscriptions.

Each path that one of them reads has a place in a list, and the expressions read that list. So an expression is compiled
once, and stays valid while others with other paths come and go.
"""

from collections.abc import Iterable
from operator import itemgetter
from typing import Final

import msgspec

from webhookd.flow.filters.decoding import (
    NUMBER_DIGITS,
    Decode,
    check_bytes,
    decode_all,
    decode_strictly,
    layout,
)
from webhookd.flow.filters.paths import Dictionaries, Evaluate, Path, Value

LAYOUT_RECORDS: Final = 50
"""After a change of the paths so many records, and one more for each path, are decoded whole before a class for the
paths is generated. That takes as long as decoding some records whole, so frequent changes must not cause it."""

_PLAIN: Final = Dictionaries()


def _absent(_value: Value) -> Value:
    return None


class SharedDecoding:
    """The paths in use, and the decoding of what is at them; not thread-safe.

    `read` makes it the source of a Compiler, whose expressions take what `values` returns. Each path that they read is
    used until `release` is called for it as often as `use`.
    """

    def __init__(self) -> None:
        self._places: dict[Path, int] = {}
        self._uses: dict[Path, int] = {}
        self._free: list[int] = []
        self._whole: list[Evaluate] = []
        self._partial: list[Evaluate] = self._whole
        self._decode: Decode = decode_all
        self._until_layout = 0

    def place(self, path: Path) -> int:
        """Where the value at a path is in what `values` returns."""
        return self._places[path]

    def read(self, path: Path) -> Evaluate:
        """See Source. The path must be in use."""
        return itemgetter(self._places[path])

    def use(self, paths: Iterable[Path]) -> None:
        """Decode the values at these paths from now on."""
        for path in paths:
            if path not in self._places:
                self._add(path)
            self._uses[path] += 1

    def release(self, paths: Iterable[Path]) -> None:
        """End one use of each of these paths."""
        for path in paths:
            self._uses[path] -= 1
            if not self._uses[path]:
                self._remove(path)

    def values(self, value: bytes | None) -> list[Value] | None:
        """The values at the paths; None if the record itself is null, or a tombstone (None).

        Raises UndecodableRecord when the value is not JSON in UTF-8, as Matcher.matches does.
        """
        if value is None:
            return None
        if self._until_layout:
            self._count_record()
        try:
            record = self._decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            record = decode_strictly(value)
            return None if record is None else [read(record) for read in self._whole]
        if len(value) > NUMBER_DIGITS or not value.isascii():
            check_bytes(value)
        return None if record is None else [read(record) for read in self._partial]

    def _add(self, path: Path) -> None:
        if self._free:
            place = self._free.pop()
        else:
            place = len(self._whole)
            self._whole.append(_absent)
        self._whole[place] = _PLAIN.read(path)
        self._places[path], self._uses[path] = place, 0
        self._decode_whole()

    def _remove(self, path: Path) -> None:
        place = self._places.pop(path)
        del self._uses[path]
        self._whole[place] = _absent
        self._free.append(place)
        self._decode_whole()

    def _decode_whole(self) -> None:
        self._decode, self._partial = decode_all, self._whole
        self._until_layout = LAYOUT_RECORDS + len(self._places)

    def _count_record(self) -> None:
        self._until_layout -= 1
        found = None if self._until_layout else layout(self._places)
        if found is None:
            return
        partial: list[Evaluate] = [_absent] * len(self._whole)
        for path, place in self._places.items():
            partial[place] = found.read(path)
        self._decode, self._partial = found.decode, partial
