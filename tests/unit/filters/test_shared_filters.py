"""The filters of many subscriptions together give the answers that each one's Matcher gives."""

import json
import sys
from types import FrameType
from typing import Any

import pytest

from tests.unit.filters.shared_cases import SharedCases
from webhookd.errors import FilterFault, UndecodableRecord
from webhookd.flow.filters.matcher import Matcher
from webhookd.flow.filters.shared_decoding import LAYOUT_RECORDS
from webhookd.flow.filters.shared_filters import SharedFilters

KEYS = 40
ROUNDS = 12
RECORDS = 25


def shared(*lists: list[str], settled: bool = True) -> SharedFilters[int]:
    """Filters of the keys 0, 1, … With `settled` they decode only what they read."""
    found: SharedFilters[int] = SharedFilters()
    for key, filters in enumerate(lists):
        found.add(key, filters)
    if settled:
        settle(found)
    return found


def settle(filters: SharedFilters[int], paths: int = 50) -> None:
    for _ in range(LAYOUT_RECORDS + paths):
        filters.match(b"{}")


def answer(matcher: Matcher, value: bytes | None) -> bool | None:
    """What one Matcher says; None if it raises."""
    try:
        return matcher.matches(value)
    except (FilterFault, UndecodableRecord):
        return None


@pytest.mark.parametrize(("settled", "whole"), [(True, False), (False, False), (True, True)])
@pytest.mark.parametrize("seed", range(2))
def test_answers_are_those_of_each_matcher(seed: int, settled: bool, whole: bool) -> None:
    cases = SharedCases(seed, whole=whole)
    filters: SharedFilters[int] = SharedFilters()
    matchers: dict[int, Matcher] = {}
    decided = wanted_before = failures = 0
    for number in range(ROUNDS):
        change(cases, filters, matchers, number)
        if settled:
            settle(filters)
        for _ in range(RECORDS):
            value = None if cases.random.random() < 0.02 else cases.record()
            wanted, undecided = filters.match(value)
            assert len(wanted) + len(undecided) == len({*wanted, *undecided})
            for key, matcher in matchers.items():
                expected = answer(matcher, value)
                found = None if key in undecided else key in wanted
                assert found == expected, (number, key, matcher, value)
                decided += expected is not None
                failures += expected is None
                wanted_before += expected is True
    assert failures > 20, "no filter failed"
    assert wanted_before > decided // 20, "too few records were wanted"
    assert decided > 10 * failures


def change(cases: SharedCases, filters: SharedFilters[int], matchers: dict[int, Matcher], number: int) -> None:
    """Remove some keys and add others."""
    for key in cases.random.sample(sorted(matchers), len(matchers) // cases.random.choice((1, 2, 5))):
        filters.remove(key)
        del matchers[key]
    while len(matchers) < KEYS:
        key = cases.random.randrange(10 * KEYS) + 10 * KEYS * number
        if key not in matchers:
            sources = cases.filters()
            filters.add(key, sources)
            matchers[key] = Matcher(sources)


@pytest.mark.parametrize(
    ("value", "keys"),
    [
        ("1", {0, 1}),
        ("1.0", {0, 1}),
        ("true", {3}),
        ('"1"', {2}),
        ("[1]", {4}),
        ("null", {5}),
        ("{}", set()),
    ],
)
def test_equal_values_are_those_that_jmespath_finds_equal(value: str, keys: set[int]) -> None:
    literals = ("`1`", "`1.0`", "'1'", "`true`", "`[1]`", "`null`")
    filters = shared(*([f"a == {literal}"] for literal in literals))
    assert filters.match(f'{{"a": {value}}}'.encode()) == (sorted(keys), [])


def test_filter_that_fails_before_the_equality_leaves_the_record_undecided() -> None:
    filters = shared(
        ["amount > `5` && tenant == 'x'"], ["tenant == 'x' && amount > `5`"], ["amount > `5`", "tenant == 'x'"]
    )
    assert filters.match(b'{"amount": "many", "tenant": "y"}') == ([], [0])
    assert filters.match(b'{"amount": "many", "tenant": "x"}') == ([], [0, 1, 2])
    assert filters.match(b'{"amount": 6, "tenant": "x"}') == ([0, 1, 2], [])
    assert filters.match(b'{"amount": 6, "tenant": "y"}') == ([], [])


def test_value_that_is_not_json_is_undecodable() -> None:
    for filters in (shared(), shared([]), shared(["a == 'x'"]), shared(["`true`"]), shared(["@"], ["a"])):
        for value in (b"{", b'{"a": "\xff"}', b'{"b": ' + b"9" * 5000 + b"}"):
            with pytest.raises(UndecodableRecord):
                filters.match(value)


def test_filters_that_spend_of_the_budget_are_refused() -> None:
    filters = shared()
    with pytest.raises(ValueError, match="budget"):
        filters.add(1, ["length(a) > `1`"])
    assert len(filters) == 0
    assert filters.match(b"{}") == ([], [])


def calls(filters: SharedFilters[int], value: bytes) -> int:
    """How many Python functions run to match a record."""
    count = 0

    def profile(_frame: FrameType, event: str, _argument: Any) -> None:  # noqa: ANN401 - as Python calls it
        nonlocal count
        count += event == "call"

    sys.setprofile(profile)
    try:
        filters.match(value)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize(
    "expression",
    [
        "tenant == '{}'",
        "type == 'order' && tenant == '{}'",
        "amount > `5` && tenant == '{}'",
        "tenant == '{}' || tenant == '{}.com'",
    ],
)
def test_number_of_evaluations_does_not_grow_with_the_keys(expression: str) -> None:
    few, many = (shared(*([expression.replace("{}", str(key))] for key in range(count))) for count in (10, 1000))
    value = json.dumps({"type": "order", "tenant": "7", "amount": 6}).encode()
    assert few.match(value) == many.match(value) == ([7], [])
    assert calls(few, value) == calls(many, value)


def test_equal_filters_are_evaluated_once() -> None:
    one, many = shared(["a > `1`"]), shared(*[["a > `1`"]] * 1000)
    assert many.match(b'{"a": 2}') == ([*range(1000)], [])
    assert calls(one, b'{"a": 2}') == calls(many, b'{"a": 2}')


def test_filters_are_looked_up_by_the_field_that_distinguishes_them_after_others_have_gone() -> None:
    filters = shared(*([f"kind == '{key}' && tenant == 'x'"] for key in range(500)), settled=False)
    for key in range(1000, 2000):
        filters.add(key, [f"kind == 'order' && tenant == '{key}'"])
    for key in range(500):
        filters.remove(key)
    settle(filters)
    value = b'{"kind": "order", "tenant": "1007"}'
    assert filters.match(value) == ([1007], [])
    assert calls(filters, value) < 30


def test_only_what_is_read_is_decoded_once_the_paths_have_settled() -> None:
    settled, changing = shared(["a == 'x'"]), shared(["a == 'x'"], settled=False)
    refused = b'{"b": 1e400, "a": "x"}'  # by msgspec, if it decodes this number
    for filters in (settled, changing):
        assert filters.match(refused) == ([0], [])
    ordinary = b'{"b": 1, "a": "x"}'
    assert calls(settled, refused) == calls(settled, ordinary)
    assert calls(changing, refused) > calls(changing, ordinary)


def test_path_through_another_one_is_read() -> None:
    filters = shared(["a.b == 'x'"])
    filters.add(1, ["a"])
    settle(filters)
    assert filters.match(b'{"a": {"b": "x"}}') == ([0, 1], [])
    filters.remove(1)
    settle(filters)
    assert filters.match(b'{"a": {"b": "x"}}') == ([0], [])
    assert filters.match(b'{"a": ["x"]}') == ([], [])
