"""Refuses a record in which an object has the same name twice: a condition or a projection would see one of them only.

Another program may read the other one. `{"tenant":"a","tenant":"b"}` would pass a condition on one value, and show the
other value to a receiver.
"""

import json
from typing import Any, Final, TypeAlias

import msgspec

from webhookd.errors import UndecodableRecord
from webhookd.flow.filters.decoding import decode_strictly

DUPLICATE_NAME: Final = "duplicate_name"

_Pairs: TypeAlias = list[tuple[str, Any]]

_decode = msgspec.json.Decoder(float_hook=msgspec.Raw).decode
_encode = msgspec.json.Encoder().encode
_REFUSED = (msgspec.DecodeError, ValueError, RecursionError)


def refuse_duplicates(value: bytes) -> None:
    """Raise UndecodableRecord if any object of this JSON value has a name twice.

    The value is decoded and written again. That leaves out duplicates and spaces, writes escapes in their shortest
    form, and lengthens nothing, since numbers with a fraction or an exponent keep their text. So the value has no
    duplicates if the result has the length of the value without spaces. Otherwise Python's `json` decides, which is
    three times as slow.
    """
    try:
        size = len(_encode(_decode(value)))
        if size == len(value) or size == len(msgspec.json.format(value, indent=-1)):
            return
    except _REFUSED:
        pass
    decode_without_duplicates(value)


def decode_without_duplicates(value: bytes) -> None:
    """Raise UndecodableRecord if any object has a name twice, or if the value is not JSON."""
    try:
        json.loads(value.decode(), object_pairs_hook=refuse_pairs)
    except (ValueError, RecursionError):
        decode_strictly(value)  # raises UndecodableRecord with the cause
        raise


def refuse_pairs(pairs: _Pairs) -> dict[str, Any]:
    """An object from its members. Raises UndecodableRecord if two of them have the same name."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise UndecodableRecord(DUPLICATE_NAME, "an object has the same name twice")
    return found
