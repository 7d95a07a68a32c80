"""Parsing: the `jmespath` library parses an expression, and this module checks its size, depth and function calls.

An expression is code from a client. Costs that depend on the record cannot be bounded here: `budget` bounds them during
the evaluation.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from jmespath.exceptions import IncompleteExpressionError, JMESPathError, LexerError, ParseError
from jmespath.functions import Functions
from jmespath.lexer import Lexer
from jmespath.parser import Parser

from webhookd.errors import InvalidFilter

SOURCE_BYTES = 4096
"""The longest expression in UTF-8, which also bounds the literals in it."""

NODES = 200
"""The most nodes of a parsed expression, about fifty comparisons. Bounds the cost of an evaluation without arrays."""

DEPTH = 32
"""The most levels of nesting; a chain of `||`, `&&` or `|` of any length counts as one level."""

CHAINED = frozenset({"or_expression", "and_expression", "pipe"})

_OPERATORS = {"and": "&&", "or": "||", "AND": "&&", "OR": "||"}
_WORD = re.compile(rf"(?:{'|'.join(_OPERATORS)})\b")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_NOT = re.compile(r"\b(?:not|NOT)\s+\Z")
_HYPHENED = re.compile(r"[A-Za-z_]\w*(?:-\w+)+")
_EQUALS = re.compile(r"=(?!=)")

_Tree: TypeAlias = Any  # the library's nodes: dicts of type, value and children
_Token: TypeAlias = Any

_OPENING = frozenset({"lparen", "lbracket", "lbrace", "filter"})
_CLOSING = frozenset({"rparen", "rbracket", "rbrace"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node of a parsed expression; `kind` and `value` come from the library; for a slice, (start, stop, step)."""

    kind: str
    value: Any = None
    children: tuple["Node", ...] = ()


def parse(source: str) -> Node:
    """Parse an expression to a tree; raises InvalidFilter with the position if it is invalid or out of bounds."""
    if len(source.encode("utf-8", "surrogatepass")) > SOURCE_BYTES:
        raise InvalidFilter(f"the expression is longer than {SOURCE_BYTES} bytes", position=SOURCE_BYTES)
    try:
        tokens = list(Lexer().tokenize(source))
        _check_nesting(tokens)
        tree = Parser().parse(source).parsed
    except JMESPathError as error:
        raise _explained(error, source) from error
    except RecursionError as error:
        raise InvalidFilter(f"the expression nests deeper than {DEPTH} levels", position=0) from error
    _check_size(tree)
    _check_calls(tree, tokens)
    return _node(tree)


def _explained(error: JMESPathError, source: str) -> InvalidFilter:
    """Convert the library's error to one line of text; the library's own message spans three lines."""
    match error:
        case IncompleteExpressionError():
            return InvalidFilter("the expression is incomplete", position=len(source))
        case LexerError():
            return InvalidFilter(_mend(source, error.lexer_position) or error.message, position=error.lexer_position)
        case ParseError(token_type="EOF"):
            return InvalidFilter("the expression is incomplete", position=len(source))
        case ParseError():
            detail = f"{error.msg} at column {error.lex_position}: {error.token_value!r}"
            return InvalidFilter(_mend(source, error.lex_position) or detail, position=error.lex_position)
        case _:
            return InvalidFilter("the expression is empty", position=0)


def _mend(source: str, position: int) -> str:
    """What is wrong at a position that cannot be parsed, if it is a usual mistake; empty for others."""
    rest = source[position:]
    if number := _NUMBER.match(rest):
        return f"a number is written in backquotes: write `{number[0]}`"
    if _EQUALS.match(rest):
        return "write == to compare"
    if _NOT.search(source[:position]):
        return "write ! instead of not"
    hyphened = next((name[0] for name in _HYPHENED.finditer(source) if name.start() < position < name.end()), "")
    if hyphened:
        return f'a name with a hyphen is written in double quotes: write "{hyphened}"'
    word = _WORD.match(rest)
    return f"write {_OPERATORS[word[0]]} instead of {word[0]}" if word else ""


def _check_nesting(tokens: list[_Token]) -> None:
    """Refuse too many brackets inside each other. Parentheses leave no node in the tree, so tokens are counted."""
    depth = 0
    for token in tokens:
        depth += (token["type"] in _OPENING) - (token["type"] in _CLOSING)
        if depth > DEPTH:
            raise InvalidFilter(f"the expression nests deeper than {DEPTH} levels", position=token["start"])


def _subtrees(tree: _Tree) -> list[_Tree]:
    """A node's children in the order of the source text: the condition of a filter comes before its projection."""
    children = [child for child in tree["children"] if isinstance(child, dict)]
    if tree["type"] == "filter_projection":
        return [children[0], children[2], children[1]]
    return children


def _check_size(tree: _Tree) -> None:
    nodes = 0
    waiting = [(tree, 1)]
    while waiting:
        node, depth = waiting.pop()
        nodes += 1
        if nodes > NODES:
            raise InvalidFilter(f"the expression has more than {NODES} nodes", position=0)
        if depth > DEPTH:
            raise InvalidFilter(f"the expression nests deeper than {DEPTH} levels", position=0)
        for child in _subtrees(node):
            chained = node["type"] in CHAINED and child["type"] == node["type"]
            waiting.append((child, depth if chained else depth + 1))


def _preorder(tree: _Tree) -> Iterator[_Tree]:
    yield tree
    for child in _subtrees(tree):
        yield from _preorder(child)


def _check_calls(tree: _Tree, tokens: list[_Token]) -> None:
    """Refuse unknown functions and wrong numbers of arguments; the library would report them only on evaluation."""
    named = [
        token
        for token, following in itertools.pairwise(tokens)
        if token["type"] == "unquoted_identifier" and following["type"] == "lparen"
    ]
    calls = [node for node in _preorder(tree) if node["type"] == "function_expression"]
    for token, call in zip(named, calls, strict=True):
        _check_call(call["value"], len(call["children"]), token["start"])


def _check_call(name: str, given: int, position: int) -> None:
    function = Functions.FUNCTION_TABLE.get(name)
    if function is None:
        raise InvalidFilter(f"there is no function {name}()", position=position)
    wanted = len(function["signature"])
    if function["signature"][-1].get("variadic"):
        if given < wanted:
            raise InvalidFilter(f"{name}() takes at least {wanted} arguments, not {given}", position=position)
    elif given != wanted:
        raise InvalidFilter(f"{name}() takes {wanted} arguments, not {given}", position=position)


def _node(tree: _Tree) -> Node:
    if tree["type"] == "slice":
        return Node(kind="slice", value=tuple(tree["children"]))
    children = tuple(_node(child) for child in tree["children"])
    return Node(kind=tree["type"], value=tree.get("value"), children=children)
