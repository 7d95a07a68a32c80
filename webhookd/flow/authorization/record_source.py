"""Reads a whole record in expressions: the value, and the key and the headers by three names at the root.

    name          what it is
    "@key"        the key: a string, {"base64": "…"} if it is not UTF-8, or null
    "@headers"    an object with the value of each header, in the same forms
    "@value"      the value of the record, as @ is

These names never read the value: a member "@key" of a value does not change what is read as the key. They have their
meaning at the root only; elsewhere an expression that uses them is refused. Kafka allows a header twice. It has no
single value then, so the evaluation fails on the record.
"""

from collections.abc import Iterator
from typing import Final

from webhookd.errors import InvalidFilter
from webhookd.flow.authorization.projection_paths import HEADERS, KEY, RESERVED, VALUE
from webhookd.flow.authorization.seen_record import Headers, shown_bytes
from webhookd.flow.filters.expression import Node
from webhookd.flow.filters.paths import Dictionaries, Evaluate, Path, Source, Value, composed

_PLAIN: Final = Dictionaries()


class RecordRoot:
    """A record as the root of an expression: the decoded value beside the key and the headers."""

    __slots__ = ("headers", "key", "value")

    def __init__(self, value: Value, key: bytes | None, headers: Headers) -> None:
        self.value = value
        self.key = key
        self.headers = headers


class RecordSource:
    """A source whose roots are RecordRoots; `value_source` reads their values. `reserved` are the reserved reads."""

    def __init__(self, value_source: Source) -> None:
        self._value_source = value_source
        self.reserved = 0

    def read(self, path: Path) -> Evaluate:
        """See Source."""
        first = path[0] if path else ""
        if first not in RESERVED:
            return composed(_value, self._value_source.read(path))
        self.reserved += 1
        if first == VALUE:
            self.reserved += sum(name in RESERVED for name in path[1:])
            return composed(_value, self._value_source.read(path[1:]))
        if first == KEY:
            return _rest(_key, path[1:])
        if len(path) == 1:
            return _all_headers
        return _rest(_header(path[1]), path[2:])


def reserved_names(node: Node) -> int:
    """How many fields of an expression have a reserved name."""
    return sum(1 for field in _fields(node) if field.value in RESERVED)


def misplaced(name_count: int, read_count: int, source: str) -> InvalidFilter | None:
    """The error for an expression that uses more reserved names than it reads at the root; None if there is none."""
    if name_count == read_count:
        return None
    found = [source.find(f'"{name}"') for name in (KEY, HEADERS, VALUE)]
    return InvalidFilter(
        f'"{KEY}", "{HEADERS}" and "{VALUE}" can be used at the root only, not inside a projection or after a pipe',
        position=min((position for position in found if position >= 0), default=0),
    )


def _fields(node: Node) -> Iterator[Node]:
    if node.kind == "field":
        yield node
    for child in node.children:
        yield from _fields(child)


def _value(root: RecordRoot) -> Value:
    return root.value


def _key(root: RecordRoot) -> Value:
    return shown_bytes(root.key)


def _rest(read: Evaluate, path: Path) -> Evaluate:
    return composed(read, _PLAIN.read(path)) if path else read


def _header(name: str) -> Evaluate:
    def read(root: RecordRoot) -> Value:
        found = [value for other, value in root.headers if other == name]
        if len(found) > 1:
            raise ValueError("the record has a header twice that is read")
        return shown_bytes(found[0]) if found else None

    return read


def _all_headers(root: RecordRoot) -> Value:
    found = {name: shown_bytes(value) for name, value in root.headers}
    if len(found) != len(root.headers):
        raise ValueError("the record has a header twice, and all headers are read")
    return found
