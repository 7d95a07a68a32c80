"""Random JSON texts for property tests, and an oracle: it reads numbers as their text and members in their order."""

import json
from dataclasses import dataclass
from random import Random
from typing import TypeAlias, Union

NUMBERS = (
    *("0", "-0", "1", "-17", "9007199254740993", "18446744073709551616", "-" + "9" * 400),
    *("1.10", "0.1", "-0.0", "1e400", "-1E-400", "1E5", "2.50e+07", "0.1000000000000000055511151231257827", "149.95"),
)
STRINGS = (
    *(
        '""',
        '"a"',
        '"é"',
        '"\\u00e9"',
        '"\\/"',
        '"/"',
        '"\\n\\t"',
        '"\\u000a"',
        '"\\ud83d\\ude00"',
        '"😀"',
        '"\\ud800"',
    ),
    *('"\\u001F"', '"\\u001f"', '"a.b"', '"[x]"', '"{\\"a\\":1}"', '",\\"b\\":2"', '"\\\\"', '"\\u007f"', '"null"'),
)
NAMES = ("a", "b", "c", "é", "a.b", "@key", "x y", "\n", '"b', "\\", "\ud800")
SPACES = ("", "", "", " ", "\n", "\t ", "\r\n")

Exact: TypeAlias = Union["Number", "Members", list["Exact"], str, bool, None]
"""A JSON value as the oracle reads it."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number, by its text."""

    text: str


@dataclass(frozen=True, slots=True)
class Members:
    """An object: its members in order."""

    pairs: list[tuple[str, Exact]]

    def get(self, name: str) -> Exact:
        """The value of a member, None where there is none."""
        return next((value for other, value in self.pairs if other == name), None)


def exact(text: bytes) -> Exact:
    """Read JSON; raises ValueError for what is not JSON, or where an object has a name twice."""
    decoder = json.JSONDecoder(parse_float=Number, parse_int=Number, object_pairs_hook=_members)
    found: Exact = decoder.decode(text.decode())
    return found


def _members(pairs: list[tuple[str, Exact]]) -> Members:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a name twice")
    return Members(pairs)


class Documents:
    """Generates JSON texts; the same ones for the same seed. With `duplicates`, some objects have a name twice."""

    def __init__(self, seed: int, *, duplicates: float = 0.0) -> None:
        self.random = Random(seed)  # noqa: S311 - test data
        self._duplicates = duplicates
        self._compact = True

    def next(self) -> bytes:
        """Generate an object or, rarely, another value."""
        self._compact = self.random.random() < 0.5
        value = self._object(3) if self.random.random() < 0.9 else self._value(2)
        return f"{self._space()}{value}{self._space()}".encode()

    def _value(self, depth: int) -> str:
        kind = self.random.random()
        if depth > 0 and kind < 0.25:
            return self._object(depth - 1)
        if depth > 0 and kind < 0.45:
            return self._array(depth - 1)
        if kind < 0.7:
            return self.random.choice(NUMBERS)
        if kind < 0.92:
            return self.random.choice(STRINGS)
        return self.random.choice(("true", "false", "null"))

    def _object(self, depth: int) -> str:
        names = self.random.sample(NAMES, self.random.randint(0, 5))
        if names and self.random.random() < self._duplicates:
            names.append(self.random.choice(names))
        return self._joined("{}", [f"{self._name(name)}{self._space()}:{self._value(depth)}" for name in names])

    def _array(self, depth: int) -> str:
        same = self.random.random() < 0.6
        make = self._object if same else self._value
        return self._joined("[]", [make(depth) for _ in range(self.random.randint(0, 4))])

    def _joined(self, brackets: str, parts: list[str]) -> str:
        spaced = [f"{self._space()}{part}{self._space()}" for part in parts]
        return brackets[0] + (",".join(spaced) or self._space()) + brackets[1]

    def _name(self, name: str) -> str:
        escaped = not self._compact and self.random.random() < 0.3
        text = json.dumps(name, ensure_ascii=escaped or "\ud800" in name)
        return f'"\\u{ord(name[0]):04x}{text[2:]}' if escaped and name[0] in "abc" else text

    def _space(self) -> str:
        return "" if self._compact else self.random.choice(SPACES)
