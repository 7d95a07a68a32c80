"""Expressions that are refused when a subscription is saved, with the position in the error."""

import pytest

from webhookd.errors import InvalidFilter
from webhookd.flow.filters.expression import DEPTH, NODES, SOURCE_BYTES
from webhookd.flow.filters.matcher import Matcher, check

FILLER = SOURCE_BYTES - 1

REFUSED = [
    ("", 0, "empty"),
    ("a ==", 4, "incomplete"),
    ("a == ==", 5, "invalid token"),
    ("a = 'x'", 2, "write == to compare"),
    ("a === 'x'", 4, "write == to compare"),
    ("total >= 100", 9, "a number is written in backquotes: write `100`"),
    ("total >= -1.5e3 && a", 9, "write `-1.5e3`"),
    ("starts_with(a, 5)", 15, "write `5`"),
    ("a and b", 2, "write && instead of and"),
    ("a == 'x' or b", 9, "write || instead of or"),
    ("not a", 4, "write ! instead of not"),
    ("order-id == 'x'", 5, 'write "order-id"'),
    ("a ? b", 2, "Unknown token"),
    ("a == 'x", 5, "Unclosed"),
    ("foo.", 4, "incomplete"),
    ("a b", 2, "Unexpected token"),
    ("'a' == nothing(a)", 7, "no function nothing()"),
    ("[?length(a)] | a[?frob(@)]", 18, "no function frob()"),
    ("length(a, b)", 0, "takes 1 arguments, not 2"),
    ("length(a) > `1` && starts_with(a)", 19, "takes 2 arguments, not 1"),
    ("not_null()", 0, "at least 1 arguments, not 0"),
    ("a[?sum()].length(b, c)", 3, "sum() takes 1 arguments, not 0"),
    ('"length"(a)', 0, "Quoted identifier"),
]


@pytest.mark.parametrize(("expression", "position", "detail"), REFUSED)
def test_refusal_names_position_and_reason(expression: str, position: int, detail: str) -> None:
    with pytest.raises(InvalidFilter, match=r".") as caught:
        check(expression)
    assert caught.value.position == position
    assert detail in caught.value.detail
    assert "\n" not in caught.value.detail


BOMBS = {
    "parentheses": "(" * FILLER,
    "closed parentheses": "(" * 400 + "a" + ")" * 400,
    "brackets": "[" * FILLER,
    "braces": "{a:" * 1000,
    "filters": "[?" * 2000,
    "negations": "!" * FILLER,
    "negations of a field": "!" * 1000 + "a",
    "references": "& " * 2000,
    "wildcards": "*." * 2000 + "*",
    "wildcard indices": "a" + "[*]" * 1000,
    "flattenings": "a" + "[]" * 2000,
    "filter chains": "a" + "[?b]" * 500,
    "alternatives": "||".join("a" * 1300),
    "comparisons": "==".join("a" * 1300),
    "calls": "abs(" * 1000 + "a" + ")" * 1000,
    "multi-selects": "[a]" + ".[a]" * 900,
    "deep literal": "`" + "[" * 4000 + "`",
    "closed deep literal": "`" + "[" * 2000 + "]" * 2000 + "`",
    "colons": "[" + ":" * 4000,
    "too long": "a" * (SOURCE_BYTES + 1),
    "too long in UTF-8": '"' + "é" * (SOURCE_BYTES // 2) + '"',
}


@pytest.mark.parametrize("expression", BOMBS.values(), ids=BOMBS.keys())
def test_expression_bomb_is_invalid_not_a_crash(expression: str) -> None:
    with pytest.raises(InvalidFilter):
        check(expression)


def test_matcher_refuses_what_check_refuses() -> None:
    with pytest.raises(InvalidFilter):
        Matcher(["a", "a =="])


def test_nodes_are_accepted_up_to_bound() -> None:
    fields = ",".join("a" * (NODES - 1))
    check(f"[{fields}]")
    with pytest.raises(InvalidFilter, match="nodes"):
        check(f"[{fields},a]")


def test_nesting_is_accepted_up_to_bound() -> None:
    check("(" * DEPTH + "a" + ")" * DEPTH)
    with pytest.raises(InvalidFilter, match="deeper"):
        check("(" * (DEPTH + 1) + "a" + ")" * (DEPTH + 1))


def test_source_is_accepted_up_to_bound() -> None:
    check("a" * SOURCE_BYTES)


def test_long_chain_of_alternatives_is_one_level() -> None:
    chain = " || ".join(f"type == 't{number}'" for number in range(45))
    check(chain)
    assert Matcher([chain]).matches(b'{"type": "t44"}')
