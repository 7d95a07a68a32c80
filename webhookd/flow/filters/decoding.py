"""From a record's bytes to what the filters read of it; and whether it is JSON at all.

A value is passed on as the bytes it came in, inside a larger JSON body: it must be RFC 8259 to the letter, in UTF-8.
`msgspec` checks all of that but the UTF-8 of strings nobody reads, and refuses more than the standard (escapes of lone
surrogates, numbers beyond a double): what it refuses is therefore judged again by `json`, made strict.
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
"""Python reads no longer integer, because the conversion is quadratic: a way to stop a consumer, never data."""

_SAMPLE_EVERY = 512
"""A number that long shows as eight sampled digits in a row, which takes a thousandth of the time of looking at all."""

_SUSPICIOUS = re.compile(rb"[0-9]{%d}" % (NUMBER_DIGITS // _SAMPLE_EVERY))

_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_TOO_LONG = b"0" * (NUMBER_DIGITS + 1)

_STRUCT_DEPTH = 8
"""Longer paths are read from a decoded subtree: each level is a generated class."""

_Unreadable = (msgspec.DecodeError, RecursionError)

Decode: TypeAlias = Callable[[bytes], Value]

_skim: Decode = msgspec.json.Decoder(msgspec.Raw).decode
_decode_all: Decode = msgspec.json.Decoder().decode


def validate(value: bytes) -> None:
    """UndecodableRecord unless the value is JSON that can be passed on; builds nothing of it."""
    try:
        _skim(value)
    except _Unreadable:
        decode_strictly(value)
        return
    if len(value) > NUMBER_DIGITS or not value.isascii():
        check_bytes(value)


def check_bytes(value: bytes) -> None:
    """What msgspec does not see in what it skips: strings that are not UTF-8, and numbers of too many digits.

    Short ASCII passes anyway; callers that see every record ask for that first, since a call costs a tenth of a match.
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
    """The whole value as `json.loads` makes it, or UndecodableRecord with the cause; slow, and the last word."""
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


def _refuse_constant(name: str) -> NoReturn:
    raise json.JSONDecodeError(f"{name} is not JSON", name, 0)


_strict = json.JSONDecoder(parse_constant=_refuse_constant)


class Trace:
    """A source that notes which paths are read, so that the others need not be decoded."""

    def __init__(self) -> None:
        self.paths: set[Path] = set()
        self._plain = Dictionaries()

    def read(self, path: Path) -> Evaluate:
        """As Source says; the functions read dictionaries."""
        self.paths.add(path)
        return self._plain.read(path)


_Tree: TypeAlias = dict[str, "_Tree"]


class Layout:
    """A generated class that holds only what stands at some paths; as a source, it reads from instances of it.

    Decoding raises msgspec.DecodeError where the record has something else on the way to a path than an object or
    null (an array, say): those records are decoded whole.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self._tree = _tree(paths)
        self.decode: Decode = msgspec.json.Decoder(_struct(self._tree)).decode

    def read(self, path: Path) -> Evaluate:
        """As Source says."""
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
    """The paths as a tree; where one path ends all below it is decoded, whatever longer ones name."""
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
    """A layout for the paths; None where all of a record is needed, or where names cannot be told to msgspec."""
    wanted = set(paths)
    if () in wanted:
        return None
    try:
        return Layout(wanted)
    except ValueError:
        return None


def decode_all(value: bytes) -> Value:
    """The whole value as `json.loads` makes it; what msgspec refuses raises as from `Layout.decode`."""
    return _decode_all(value)
