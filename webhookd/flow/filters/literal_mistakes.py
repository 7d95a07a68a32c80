"""Finds fields in a filter that were probably meant as literals.

In JMESPath `status == "paid"` compares two fields: only single quotes and backquotes make a literal. The expression is
valid, and a record that has neither field passes it. The same holds for `status == paid` and `active == true`.

Quotes are only in the tokens: the parsed tree has the same node for both spellings.

    certain    the other operand is a field too, and the name is quoted, or is `true`, `false` or `null`
    possible   the other operand is a field too, and the name is not quoted, or stands on the left and needs its quotes
"""

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from jmespath.lexer import Lexer

from webhookd.flow.filters.paths import Value

_Token: TypeAlias = Any

COMPARATORS: Final = frozenset({"eq", "ne", "lt", "lte", "gt", "gte"})
QUOTED: Final = "quoted_identifier"
NAMES: Final = frozenset({QUOTED, "unquoted_identifier"})
BEFORE: Final = frozenset({"start", "and", "or", "not", "lparen", "filter", "pipe", "comma", "lbracket", "colon"})
AFTER: Final = frozenset({"eof", "and", "or", "rparen", "rbracket", "rbrace", "pipe", "comma"})
"""Tokens beside a name that is an operand by itself, and not a step of a path such as `a.b`."""

WORDS: Final = {"true": "true", "false": "false", "null": "null", "True": "true", "False": "false", "None": "null"}
SECOND_IS_TEXT: Final = frozenset({"contains", "starts_with", "ends_with"})
"""Functions whose second argument is nearly always a literal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedField:
    """A field where a literal was probably meant; `certain` as in the table above, `literal` is how to write it."""

    name: str
    literal: str
    quoted: bool
    certain: bool


def compared_fields(expression: str) -> list[ComparedField]:
    """Return the names in a valid expression that were probably meant as literals, each once."""
    tokens = [{"type": "start", "value": ""}, *Lexer().tokenize(expression)]
    found = {field.name: field for field in _found(tokens)}
    return list(found.values())


def fields_of(record: Value) -> set[str]:
    """The names of all fields in a record, at any depth."""
    names: set[str] = set()
    waiting = [record]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            names.update(value)
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return names


def mistaken(fields: Iterable[ComparedField], known: Collection[str], records: int) -> list[ComparedField]:
    """Return the fields that are mistakes, as far as `records` sample records with the fields `known` can show it.

    A field that a record has is none; one that is only possibly a mistake needs records to show that they lack it.
    """
    return [field for field in fields if field.name not in known and (field.certain or records)]


def _found(tokens: list[_Token]) -> Iterator[ComparedField]:
    for index, token in enumerate(tokens):
        if token["type"] in COMPARATORS:
            yield from _compared(tokens, index)
        elif token["value"] in SECOND_IS_TEXT and tokens[index + 1]["type"] == "lparen":
            yield from _second_argument(tokens, index + 2)


def _compared(tokens: list[_Token], index: int) -> Iterator[ComparedField]:
    """Yield the operand of one comparison that was probably meant as a literal."""
    left, right = tokens[index - 1], tokens[index + 1]
    if "literal" in {left["type"], right["type"]}:
        return
    operands = [_field(right)] if right["type"] in NAMES and tokens[index + 2]["type"] in AFTER else []
    if left["type"] in NAMES and tokens[index - 2]["type"] in BEFORE:
        first = _field(left)
        # A name such as "order-id" on the left is quoted because it has to be.
        operands.append(replace(first, certain=first.certain and first.name.isidentifier()))
    yield from sorted(operands, key=lambda field: not field.certain)[:1]


def _second_argument(tokens: list[_Token], start: int) -> Iterator[ComparedField]:
    """Yield the second argument of a call that begins at `start`, if it is one quoted name."""
    depth = 0
    for index in range(start, len(tokens) - 1):
        kind = tokens[index]["type"]
        depth += (kind in {"lparen", "lbracket", "lbrace", "filter"}) - (kind in {"rparen", "rbracket", "rbrace"})
        if depth < 0:
            return
        if kind == "comma" and depth == 0:
            name = tokens[index + 1]
            if name["type"] == QUOTED and tokens[index + 2]["type"] == "rparen":
                yield _field(name)
            return


def _field(token: _Token) -> ComparedField:
    name = str(token["value"])
    quoted = token["type"] == QUOTED
    if not quoted and name in WORDS:
        return ComparedField(name=name, literal=f"`{WORDS[name]}`", quoted=False, certain=True)
    return ComparedField(name=name, literal=_literal(name), quoted=quoted, certain=quoted)


def _literal(text: str) -> str:
    if "'" in text or "\\" in text or not text.isprintable():
        return "`" + json.dumps(text).replace("`", "\\`") + "`"
    return f"'{text}'"
