"""Decodes a JSON value for an expression and writes the result, so that numbers keep their digits.

Expressions calculate with doubles and integers, as filters do. A double does not know that it was written `1.10` or
`1e400`. So the text of each such number is kept beside the decoded value, by the identity of the double: JMESPath hands
on the objects that it selects. What a function computes is a new object, and is written in its shortest form.
"""

import json
from math import isfinite
from typing import TypeAlias

import msgspec

from webhookd.flow.authorization.json_values import refuse_pairs
from webhookd.flow.filters.paths import Value

_MINUS_ZERO = "-0"

_Texts: TypeAlias = dict[int, tuple[float, str]]

_encode = msgspec.json.Encoder().encode


class ExactValue:
    """A decoded value, with the texts of its numbers that would be written in another form."""

    __slots__ = ("_texts", "value")

    def __init__(self, source: bytes) -> None:
        """Decode a value that was validated before. Raises UndecodableRecord when an object has a name twice."""
        self._texts: _Texts = {}
        read_int = self._integer if b"-0" in source else None
        self.value: Value = json.loads(
            source.decode(), parse_float=self._float, parse_int=read_int, object_pairs_hook=refuse_pairs
        )

    def written(self, result: Value) -> bytes:
        """The result of an expression as JSON.

        Raises ValueError for infinity and NaN, TypeError for what is not JSON (`&name`), and RecursionError.
        """
        kind = result.__class__
        if kind is str:
            return _string(result)
        if kind is dict:
            pairs = [b"%b:%b" % (_string(name), self.written(part)) for name, part in result.items()]
            return b"{" + b",".join(pairs) + b"}"
        if kind is list:
            return b"[" + b",".join([self.written(part) for part in result]) + b"]"
        if kind is float:
            return self._number(result)
        if kind is int:
            return b"%d" % result
        return _encode(result)

    def _number(self, number: float) -> bytes:
        kept = self._texts.get(id(number))
        if kept is not None:
            return kept[1].encode()
        if not isfinite(number):
            raise ValueError("the result has a number that JSON cannot represent")
        return repr(number).encode()

    def _float(self, text: str) -> float:
        number = float(text)
        if repr(number) != text:
            self._texts[id(number)] = (number, text)  # keeps the object, so that no other one gets its identity
        return number

    def _integer(self, text: str) -> float:
        if text != _MINUS_ZERO:
            return int(text)
        number = float(text)
        self._texts[id(number)] = (number, text)
        return number


def _string(text: str) -> bytes:
    try:
        return _encode(text)
    except UnicodeEncodeError:  # half a surrogate pair
        return json.dumps(text).encode()
