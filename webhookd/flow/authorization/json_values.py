"""A JSON value of which members can be kept or cut, so that what stays is written as it was.

    form       for                                             how
    decoded    values that are the same when they are written  decoded once; what stays is written again
               again, except for spaces: nearly all
    raw        all others                                      split one level at a time; what stays is copied

Numbers with a fraction or an exponent are decoded to their text, and integers have any size in Python. So what remains
are escapes that are longer than they must be, and the integer -0.

No object may have the same name twice: a condition or a projection would see one of the members only, and another
program may read the other one. `{"tenant":"a","tenant":"b"}` would pass a condition on one value, and show the other
value to a receiver.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol, TypeAlias

import msgspec
from msgspec import Raw

from webhookd.errors import UndecodableRecord
from webhookd.flow.authorization import raw_scanning
from webhookd.flow.filters.decoding import decode_strictly, refuse_constant

DUPLICATE_NAME: Final = "duplicate_name"

_Part: TypeAlias = Any
"""A value in one of the forms."""

_REFUSED = (msgspec.DecodeError, ValueError, RecursionError)

_decode = msgspec.json.Decoder(float_hook=Raw).decode
_split_object = msgspec.json.Decoder(dict[str, Raw]).decode
_split_array = msgspec.json.Decoder(list[Raw]).decode
_encode = msgspec.json.Encoder().encode


class Form(Protocol):
    """How values are held. A value is an object, an array, null or something else."""

    def members(self, value: _Part) -> dict[str, _Part] | None:
        """The members of an object in their order, for the caller to change; None for another value."""

    def elements(self, value: _Part) -> Sequence[_Part] | None:
        """The elements of an array; None for another value."""

    def is_null(self, value: _Part) -> bool:
        """Whether the value is null."""

    def object_of(self, members: dict[str, _Part]) -> _Part:
        """The object with these members."""

    def array_of(self, elements: list[_Part]) -> _Part:
        """The array of these elements."""

    def written(self, value: _Part) -> bytes:
        """The value as JSON."""


class JsonValue(msgspec.Struct, frozen=True, gc=False):
    """The value of a record in one of the forms. Cutting members may change `root`: it is for one use."""

    form: Form
    root: _Part


def read_json(value: bytes) -> JsonValue:
    """Read the value of a record. Raises UndecodableRecord if it is not JSON, or if an object has a name twice.

    Decoding and writing leave out duplicates and spaces, write escapes in their shortest form, and lengthen nothing. So
    if the result has the length of the value without spaces, it is the value. Otherwise Python's `json` looks for
    duplicates, which is three times as slow.
    """
    try:
        root = _decode(value)
        size = len(_encode(root))
        if size == len(value) or size == len(msgspec.json.format(value, indent=-1)):
            return JsonValue(DECODED, root)
    except _REFUSED:
        pass
    _check_names(value)
    return JsonValue(RAW, Raw(value))


def refuse_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object from its members. Raises UndecodableRecord if two of them have the same name."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise UndecodableRecord(DUPLICATE_NAME, "an object has the same name twice")
    return found


def _check_names(value: bytes) -> None:
    try:
        _strict.decode(value.decode())
    except (ValueError, RecursionError):
        decode_strictly(value)  # raises UndecodableRecord with the cause
        raise


_strict = json.JSONDecoder(object_pairs_hook=refuse_pairs, parse_constant=refuse_constant)


class _Decoded:
    """Values as msgspec decodes them."""

    def members(self, value: _Part) -> dict[str, _Part] | None:
        """See Form."""
        return value if value.__class__ is dict else None

    def elements(self, value: _Part) -> Sequence[_Part] | None:
        """See Form."""
        return value if value.__class__ is list else None

    def is_null(self, value: _Part) -> bool:
        """See Form."""
        return value is None

    def object_of(self, members: dict[str, _Part]) -> _Part:
        """See Form."""
        return members

    def array_of(self, elements: list[_Part]) -> _Part:
        """See Form."""
        return elements

    def written(self, value: _Part) -> bytes:
        """See Form."""
        return _encode(value)


class _Raw:
    """Values as their text. Spaces between split members are left out; names are written in their shortest form."""

    def members(self, value: Raw) -> dict[str, Raw] | None:
        """See Form."""
        try:
            return _split_object(value)
        except msgspec.ValidationError:
            return None
        except msgspec.DecodeError:  # it refuses escapes of half a surrogate pair, which are JSON
            return raw_scanning.members(bytes(value).decode())

    def elements(self, value: Raw) -> Sequence[Raw] | None:
        """See Form."""
        try:
            return _split_array(value)
        except msgspec.ValidationError:
            return None
        except msgspec.DecodeError:
            return raw_scanning.elements(bytes(value).decode())

    def is_null(self, value: Raw) -> bool:
        """See Form."""
        return bytes(value).strip() == b"null"

    def object_of(self, members: Mapping[str, Raw]) -> Raw:
        """See Form."""
        try:
            return Raw(_encode(members))
        except UnicodeEncodeError:  # a name with half a surrogate pair
            pairs = [b"%b:%b" % (json.dumps(name).encode(), bytes(part)) for name, part in members.items()]
            return Raw(b"{" + b",".join(pairs) + b"}")

    def array_of(self, elements: list[Raw]) -> Raw:
        """See Form."""
        return Raw(_encode(elements))

    def written(self, value: Raw) -> bytes:
        """See Form."""
        return bytes(value)


DECODED: Final[Form] = _Decoded()
RAW: Final[Form] = _Raw()
