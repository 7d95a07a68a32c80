"""Ordinary filters on records of 1 MB stay within the budget and return the same as without one."""

import json
from math import inf
from random import Random

import pytest

from tests.unit.filters.generator import Generator
from webhookd.flow.filters.budget import Budget
from webhookd.flow.filters.compilation import Compiler
from webhookd.flow.filters.decoding import Trace
from webhookd.flow.filters.expression import parse
from webhookd.flow.filters.matcher import Matcher

SIZE = 1_000_000
"""Bytes: about the largest record that a broker accepts by default."""


def _array(element: str, size: int = SIZE) -> bytes:
    """A record of about `size` bytes: an object with an array `items` of copies of one element."""
    return f'{{"items":[{",".join([element] * (size // (len(element) + 1) - 8))}]}}'.encode()


@pytest.mark.parametrize("count", [5_000, 5_001, 100_000])
def test_record_with_many_items_is_found(count: int) -> None:
    items = [{"sku": "a"}] * (count - 1) + [{"sku": "x"}]
    assert Matcher(["items[?sku == 'x']"]).matches(json.dumps({"items": items}).encode())
    assert not Matcher(["items[?sku == 'y']"]).matches(json.dumps({"items": items}).encode())


ORDINARY: dict[str, tuple[str, list[str]]] = {
    "numbers of one digit": ("1", ["items[?@ == `1`]", "items[?@ < `2`]", "sum(items) > `0`", "contains(items, `1`)"]),
    "numbers and functions": ("7", ["items[?abs(@) > `1`]", "items[?type(@) == 'number']", "max(items) == `7`"]),
    "numbers sorted": ("123", ["sort(items)[0] == `123`", "sort_by(items, &@)[0] == `123`"]),
    "empty arrays": ("[]", ["length(items[?length(@) == `0`]) > `0`", "items[?@ == `[]`]", "!(items[])"]),
    "short strings": (
        '"ab"',
        [
            "items[?starts_with(@, 'a') && length(@) == `2`]",
            "items[?contains(['aa', 'ab', 'ac'], @)]",
            "contains(join(',', items), 'ab,ab')",
            "items[?ends_with(@, 'b')]",
        ],
    ),
    "small objects": (
        '{"sku":"x"}',
        [f"items[?sku == 'x' && sku != '{number}']" for number in range(6)] + ["contains(items[*].sku, 'x')"],
    ),
    "order lines": (
        '{"sku":"A-1","quantity":2,"price":{"amount":12.5,"currency":"EUR"},"tags":["a","b"]}',
        [
            "items[?sku == 'A-1' && quantity > `1` && price.currency == 'EUR']",
            "items[?contains(tags, 'b') && !(sku == 'B-7')]",
            "items[?length(tags) > `1`].price.amount",
            "sum(items[*].quantity) > `2`",
            "max_by(items, &price.amount).sku == 'A-1'",
            "items[*].tags[]",
            "items[*].{name: sku, cost: price.amount} | [?cost > `10`]",
            "contains(to_string(@), 'EUR')",
            "items[?max(price.[amount, `1`]) > `10`]",
            "length(items[*].keys(@)[]) > `4`",
        ],
    ),
}


@pytest.mark.parametrize(("element", "filters"), ORDINARY.values(), ids=ORDINARY.keys())
def test_ordinary_filters_stay_within_the_budget(element: str, filters: list[str]) -> None:
    assert Matcher(filters).matches(_array(element))


TEXTS = {
    "plain": "x" * (SIZE - 20),
    "beyond ASCII": "é" * (SIZE // 2 - 20),
    "beyond the first plane": "\U0001f600" * (SIZE // 4 - 20),
    "escaped": '"\n' * (SIZE // 4 - 20),
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_large_text_is_searched_and_rebuilt(text: str) -> None:
    value = json.dumps({"text": text}, ensure_ascii=False).encode()
    filters = [
        "!contains(text, 'y')",
        "!contains(to_string(@), 'y')",
        "reverse(text)",
        "join('', [text])",
        "text != 'y'",
    ]
    assert Matcher(filters).matches(value)


@pytest.mark.parametrize("seed", range(8))
def test_budget_changes_no_result_on_large_records(seed: int) -> None:
    """A random filter returns the same with and without a budget: large records do not exhaust it."""
    generator, random = Generator(seed), Random(seed)  # noqa: S311 - the same every time is the point
    free = Budget()
    for _ in range(12):
        elements = [generator.record(2) for _ in range(40)]
        text = ",".join(random.choice(elements) for _ in range(3000))
        value = f'{{"a":[{text}],"b":"x","c":{{"a":[{text}]}}}}'.encode()
        expression = generator.expression()
        budget = Budget()
        budget.refill(value)
        free.left = free.room = inf
        assert _result(expression, value, budget) == _result(expression, value, free), expression


def _result(expression: str, value: bytes, budget: Budget) -> str:
    try:
        return repr(Compiler(Trace(), budget).compile(parse(expression))(json.loads(value)))
    except (ValueError, TypeError, ArithmeticError) as error:
        return f"raises {type(error).__name__}"
