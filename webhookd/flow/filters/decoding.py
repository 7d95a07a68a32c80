"""Decoding: checks that a record's value is JSON, and decodes only the fields that the filters read.

A delivery contains the record's original bytes inside a larger JSON body, so the value must follow RFC 8259 exactly and
be UTF-8. `msgspec` differs from that in two ways:

- It does not check that strings are UTF-8 in parts that it skips. `check_bytes` does.
- It refuses some valid JSON: escapes of lone surrogates, and numbers larger than a double. Whatever it refuses is
  decoded again by Python's `json`, made strict, which decides.
"""

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, NoReturn, TypeAlias

import msgspec

from webhookd.errors import UndecodableRecord
from webhookd.flow.filters.paths import Dictionaries, Evaluate, Path, Value, attributes, composed

NOT_JSON = "not_json"
NOT_UTF8 = "not_utf8"
TOO_DEEP = "too_deep"
NUMBER_TOO_LONG = "number_too_long"

NUMBER_DIGITS = 4300
"""The most digits of an integer that Python reads by default. The conversion takes quadratic time, so that longer ones
could be used to block the ingest process."""

_SAMPLE_EVERY = 512
"""In a sample of every 512th byte, a number of more than NUMBER_DIGITS digits shows as eight digits in a row. Checking
the sample takes a thousandth of the time of checking every byte."""

_SUSPICIOUS = re.compile(rb"[0-9]{%d}" % (NUMBER_DIGITS // _SAMPLE_EVERY))

_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_TOO_LONG = b"0" * (NUMBER_DIGITS + 1)

_STRUCT_DEPTH = 8
"""Levels of generated classes at most; the rest of a longer path is read from dictionaries."""

_Unreadable = (msgspec.DecodeError, RecursionError)

Decode: TypeAlias = Callable[[bytes], Value]

_check_syntax: Decode = msgspec.json.Decoder(msgspec.Raw).decode
_decode_all: Decode = msgspec.json.Decoder().decode


def validate(value: bytes) -> None:
    """Raise UndecodableRecord unless the value is JSON in UTF-8; decodes nothing of it."""
    try:
        _check_syntax(value)
    except _Unreadable:
        decode_strictly(value)
        return
    if len(value) > NUMBER_DIGITS or not value.isascii():
        check_bytes(value)


def check_bytes(value: bytes) -> None:
    """Check what msgspec does not check in parts that it skips: UTF-8, and integers with too many digits.

    Raises UndecodableRecord. ASCII of at most NUMBER_DIGITS bytes always passes. Callers on the hot path test that
    themselves, because the call would cost a tenth of a match.
    """
    if not value.isascii():
        _text(value)
    if (
        len(value) > NUMBER_DIGITS
        and _SUSPICIOUS.search(value[::_SAMPLE_EVERY])
        and _TOO_LONG in value.translate(_ZEROS)
    ):
        decode_strictly(value)


def decode_strictly(value: bytes) -> Value:
    """Decode the whole value as `json.loads` does, or raise UndecodableRecord with the cause.

    Slow: used for values that msgspec refuses. Its verdict is final.
    """
    try:
        return _strict.decode(_text(value))
    except json.JSONDecodeError as error:
        raise UndecodableRecord(NOT_JSON, f"{error.msg} at character {error.pos}") from error
    except RecursionError as error:
        raise UndecodableRecord(TOO_DEEP, "nested deeper than the interpreter's stack") from error
    except ValueError as error:
        raise UndecodableRecord(NUMBER_TOO_LONG, f"an integer of more than {NUMBER_DIGITS} digits") from error


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise UndecodableRecord(NOT_UTF8, f"{error.reason} at byte {error.start}") from error


def refuse_constant(name: str) -> NoReturn:
    """Refuse what Python's `json` reads beyond JSON: NaN and infinities. Raises json.JSONDecodeError."""
    raise json.JSONDecodeError(f"{name} is not JSON", name, 0)


_strict = json.JSONDecoder(parse_constant=refuse_constant)


class Trace:
    """A source that collects the paths that expressions read, so that a Layout can skip all others."""

    def __init__(self) -> None:
        self.paths: set[Path] = set()
        self._plain = Dictionaries()

    def read(self, path: Path) -> Evaluate:
        """See Source; the returned functions read from dictionaries."""
        self.paths.add(path)
        return self._plain.read(path)


_Tree: TypeAlias = dict[str, "_Tree"]


class Layout:
    """A generated class that holds only the values at some paths; as a source, it reads from instances of that class.

    `decode` raises msgspec.DecodeError where a record has anything but an object or null on the way to a path (an
    array, for example). The caller then decodes the whole record.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self._tree = _tree(paths)
        self.decode: Decode = msgspec.json.Decoder(_struct(self._tree)).decode

    def read(self, path: Path) -> Evaluate:
        """See Source."""
        names: list[str] = []
        level = self._tree
        while level:
            key = path[len(names)]
            names.append(_attribute(level, key))
            level = level[key]
        found = attributes(tuple(names))
        rest = path[len(names) :]
        return composed(found, Dictionaries().read(rest)) if rest else found


def _tree(paths: Iterable[Path]) -> _Tree:
    """The paths as a tree. Where a path ends, the whole value is decoded, and longer paths through it are left out."""
    root: _Tree = {}
    taken: set[Path] = set()
    for path in sorted((path[:_STRUCT_DEPTH] for path in paths), key=len):
        if any(path[:length] in taken for length in range(len(path) + 1)):
            continue
        taken.add(path)
        level = root
        for key in path:
            level = level.setdefault(key, {})
    return root


def _attribute(level: _Tree, key: str) -> str:
    return f"f{list(level).index(key)}"


def _struct(level: _Tree) -> type[msgspec.Struct]:
    fields: list[tuple[str, Any, Any]] = []
    for key, below in level.items():
        kind: Any = _struct(below) | None if below else Any
        fields.append((_attribute(level, key), kind, None))
    names = {_attribute(level, key): key for key in level}
    return msgspec.defstruct("Record", fields, rename=names)


def layout(paths: Iterable[Path]) -> Layout | None:
    """A layout for the paths; None if the whole record is needed, or if msgspec cannot represent a field name."""
    wanted = set(paths)
    if () in wanted:
        return None
    try:
        return Layout(wanted)
    except ValueError:
        return None


def decode_all(value: bytes) -> Value:
    """Decode the whole value as `json.loads` does; raises the same errors as `Layout.decode`."""
    return _decode_all(value)
