"""The budget: an expression bomb is stopped with an error that names it, and ordinary filters stay within the budget.

Without the budget most of the bombs here would practically never end.
"""

import json
import tracemalloc

import pytest

from webhookd.errors import FilterTooCostly
from webhookd.flow.filters.budget import (
    BUILT_A_BYTE,
    BUILT_BYTES,
    SCANNED_SHIFT,
    STEPS,
    STEPS_A_VALUE,
    STEPS_MAX,
    WRITTEN_SHIFT,
    Budget,
    values_in,
)
from webhookd.flow.filters.matcher import Matcher
from webhookd.flow.filters.projections import flattened

STAGES = 25
DOUBLED = " | ".join(["[@, @]"] * 22)
LONG = "x" * 500_000
NUMBERS = [1] * 50_000

BOMBS: dict[str, tuple[str, object]] = {
    "string doubled": (" | ".join(["join('', [@, @])"] * STAGES), "abcdefgh"),
    "string doubled by separator": (" | ".join(["join(@, ['', '', ''])"] * STAGES), "abcdefgh"),
    "array doubled": (" | ".join(["[@, @][]"] * STAGES), [1, 2]),
    "array doubled by a projection": (" | ".join(["[@, @][*][]"] * 20), [1, 2]),
    "text of shared parts": (" | ".join(["[@, @]"] * 45) + " | to_string(@)", {"a": 1}),
    "text of shared objects": (" | ".join(["{a: @, b: @}"] * 28) + " | to_string(@)", 1),
    "comparison of shared parts": (f"({DOUBLED}) == ({DOUBLED})", "a"),
    "comparison of shared objects": (" == ".join(["(" + " | ".join(["{a: @, b: @}"] * 15) + ")"] * 2), 1),
    "search for shared parts": (f"contains([({DOUBLED})], ({DOUBLED}))", 1),
    "sum of a doubled array": (" | ".join(["[@, @][]"] * STAGES) + " | sum(@)", 1),
    "maximum of long strings": ("[a, b] | " + " | ".join(["[@, @][]"] * 9) + " | max(@)", {"a": LONG, "b": LONG}),
    "long separators joined": ("join(a, items)", {"a": LONG[:5000], "items": [""] * 5000}),
    "many passes": ("[" + ",".join(["items"] * 90) + "][][?@ != `2`]", {"items": NUMBERS}),
    "many passes, one behind the other": ("items | " + " | ".join(["[*].[@]"] * 30), {"items": NUMBERS}),
    "many comparisons of the same": ("[" + ",".join(["items == items"] * 60) + "]", {"items": NUMBERS}),
    "many searches": ("map(&contains(@, 'y'), [" + ",".join(["items"] * 90) + "])", {"items": NUMBERS}),
    "sorted by texts again and again": (" | ".join(["items", *["sort_by(@, &to_string(@))"] * 20]), {"items": NUMBERS}),
    "many calls for each element": ("items[*].join('x', ['a', 'b'])", {"items": NUMBERS}),
    "large objects for each element": (
        "items[*].{" + ",".join(f"k{number}: @" for number in range(60)) + "}",
        {"items": NUMBERS},
    ),
    "quotes escaped again and again": ("to_string([" * 15 + "@" + "])" * 15, {"a": '"' * 100}),
    "an array as separator of itself": ("join(to_string(items), items)", {"items": ["a"] * 20_000}),
}


@pytest.mark.parametrize(("expression", "record"), BOMBS.values(), ids=BOMBS.keys())
def test_bomb_ends_and_is_named(expression: str, record: object) -> None:
    matcher = Matcher([expression])
    with pytest.raises(FilterTooCostly, match="more steps"):
        matcher.matches(json.dumps(record).encode())
    assert matcher.errors == 1
    assert "more steps" in matcher.last_error


MEMORY = {
    "objects of objects": "items | " + " | ".join(["[*].{a: @, b: @, c: @}"] * 10),
    "arrays of arrays": "items | " + " | ".join(["[*].[@, @]"] * 20),
    "texts": "[" + ",".join(["to_string(items)"] * 90) + "]",
    "texts joined": "to_string(items) | " + " | ".join(["join('', [@, @])"] * 20),
    "array doubled": "items | " + " | ".join(["[@, @][]"] * 20),
}

ORDINARY: dict[str, tuple[str, object]] = {
    "long texts searched": ("items[?contains(@, 'y')] == `[]`", {"items": [LONG[:5000]] * 2000}),
    "arrays searched often": ("items[?contains(@, 'y')] == `[]`", {"items": [[1] * 500] * 300}),
    "a long string reversed": ("reverse(a)", {"a": LONG}),
    "a long string compared often": ("items[?@ == @]", {"items": [LONG[:5000]] * 2000}),
    "a long string ordered often": ("items[?@ <= @]", {"items": [LONG[:5000]] * 2000}),
    "a long prefix compared often": ("items[?starts_with(@, @)]", {"items": [LONG[:5000]] * 2000}),
    "long keys sorted": ("sort_by(items, &@)", {"items": [LONG[:5000]] * 2000}),
    "long strings sorted": ("sort(items)", {"items": [LONG[:5000]] * 2000}),
    "a large array searched often": ("!contains(items, a)", {"items": [[1] * 500] * 300, "a": [1] * 499 + [2]}),
    "a heavy projection": ("items[*].[@, @, @, @, @, @, @, @, @, @]", {"items": [1] * 5000}),
    "a heavy map": ("map(&[@, @, @, @, @, @, @, @, @, @], items)", {"items": [1] * 5000}),
    "a heavy condition": ("items[?a && b && c && d && e && f && g] == `[]`", {"items": [1] * 5000}),
    "a heavy projection of members": ("@.*.[@, @, @, @]", {str(key): 1 for key in range(8000)}),
    "nested projections": ("[*][*][*]", [[list(range(40))] * 40] * 40),
    "members of one shared object": ("[*].keys(@)", [{str(key): 1 for key in range(500)}] * 200),
    "a condition on a thousand items": ("items[?a == 'x' && b > `1`]", {"items": [{"a": "x", "b": 2}] * 1000}),
    "a search in a large text": ("contains(text, 'y')", {"text": LONG + "y"}),
    "a large array of scalars": ("contains(items, 'y')", {"items": ["x"] * 10_000 + ["y"]}),
    "the text of a small record": ("contains(to_string(@), 'y')", {"items": [{"a": "y"}] * 100}),
    "a sum over a thousand items": ("sum(items[*].a) == `1000`", {"items": [{"a": 1}] * 1000}),
    "two arrays of different length": ("a != b", {"a": [1] * STEPS, "b": [1] * (STEPS + 1)}),
    "two large equal objects": ("a == b", {"a": {"x": list(range(5000))}, "b": {"x": list(range(5000))}}),
}


@pytest.mark.parametrize(("expression", "record"), ORDINARY.values(), ids=ORDINARY.keys())
def test_ordinary_filter_stays_within_budget(expression: str, record: object) -> None:
    matcher = Matcher([expression])
    assert matcher.matches(json.dumps(record).encode()) is True
    assert matcher.errors == 0


def test_each_record_starts_with_full_budget() -> None:
    matcher = Matcher(["items[?a]"])
    value = json.dumps({"items": [{"a": 1}] * 5000}).encode()
    assert [matcher.matches(value) for _ in range(5)] == [True] * 5


@pytest.mark.parametrize("expression", [f"'{'x' * 4000}' < a", f"a > '{'x' * 4000}'", f"a != '{'x' * 4000}'"])
def test_comparison_with_a_long_literal_never_uses_the_budget_up(expression: str) -> None:
    matcher = Matcher([expression])
    assert all(matcher.matches(b'{"a": "y"}') for _ in range(STEPS))


def test_filters_of_a_record_share_one_budget() -> None:
    value = json.dumps({"items": [{"a": 1}] * 5000}).encode()
    costly = "items[?join('', ['x'])]"
    assert Matcher([costly]).matches(value)
    with pytest.raises(FilterTooCostly, match=r"join.*: "):
        Matcher([costly] * 4).matches(value)


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_order_of_filters_does_not_change_a_rejection(order: slice) -> None:
    raises, no = "abs(type) > `1`", "items[?join('', ['x']) == 'y']"
    matcher = Matcher([raises, no][order])
    assert not matcher.matches(json.dumps({"type": "order", "items": [{"a": 1}] * 5000}).encode())
    assert matcher.errors == 0


def test_filter_after_two_that_fail_can_reject() -> None:
    bomb = "`1` | " + " | ".join(["[@, @][]"] * STAGES)
    matcher = Matcher(["abs(type) > `1`", bomb, "items[?a] == `[]`"])
    assert not matcher.matches(b'{"type": "order", "items": [{"a": 1}]}')


def test_record_after_a_bomb_is_judged() -> None:
    matcher = Matcher([" | ".join(["[@, @][]"] * STAGES) + " | sum(@)", "@"])
    for _ in range(2):
        with pytest.raises(FilterTooCostly):
            matcher.matches(b"1")
    assert matcher.errors == 2


def test_record_adds_to_its_budget_once() -> None:
    budget = Budget()
    record = b"[" + b"1," * 1000 + b"1]"
    budget.refill(record)
    allowed = STEPS + STEPS_A_VALUE * values_in(record)
    for _ in range(allowed // 100):
        budget.spend(100)
    with pytest.raises(FilterTooCostly):
        budget.spend(100)


def test_budget_of_any_record_is_bounded() -> None:
    budget = Budget()
    budget.refill(b"," * 8_000_000)
    budget.spend(STEPS + STEPS_MAX)
    with pytest.raises(FilterTooCostly):
        budget.spend(1)


def test_room_grows_with_the_record() -> None:
    budget = Budget()
    budget.refill(b"x" * 100)
    budget.spend(0, BUILT_BYTES + 100 * BUILT_A_BYTE)
    with pytest.raises(FilterTooCostly):
        budget.spend(0, 1)


def test_nothing_is_added_for_a_tombstone() -> None:
    matcher = Matcher(["`1` | " + " | ".join(["[@, @][]"] * STAGES)])
    with pytest.raises(FilterTooCostly):
        matcher.matches(None)


def test_values_are_counted_by_commas_and_brackets() -> None:
    assert values_in(b'{"a":[1,2],"b":{}}') == 5
    assert values_in(b'{"a":"' + b"x" * 3200 + b'"}') == 1 + 3208 // 32
    assert values_in(b"," * 1000) == 500


def test_shared_parts_are_charged_as_often_as_visited() -> None:
    shared = [1, 2, 3]
    apart = Budget().spend_whole(shared)
    assert Budget().spend_whole([shared, shared]) - Budget().spend_whole([0, 0]) == 2 * (apart - 1)


def test_strings_cost_by_their_length() -> None:
    assert Budget().spend_whole("x" * 10_000) == 1 + (10_000 >> SCANNED_SHIFT)
    assert Budget().spend_whole("x" * 10_000, written=True) == 1 + (10_000 >> WRITTEN_SHIFT)


@pytest.mark.parametrize(("text", "factor"), [("x", 2), ("\n", 12), ("é", 12)])
def test_written_text_is_charged_by_its_bytes(text: str, factor: int) -> None:
    budget = Budget()
    budget.spend_whole(text * 1000, written=True)
    assert budget.room == BUILT_BYTES - 1000 * factor


@pytest.mark.parametrize("expression", MEMORY.values(), ids=MEMORY.keys())
def test_memory_stays_within_a_multiple_of_the_record(expression: str) -> None:
    value = b'{"items":[' + b",".join([b"{}"] * 4_000) + b"]}"
    matcher = Matcher([expression])
    tracemalloc.start()
    try:
        with pytest.raises(FilterTooCostly):
            matcher.matches(value)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * (BUILT_BYTES + BUILT_A_BYTE * len(value))


def test_flattening_is_charged_before_it_builds() -> None:
    shared = [1] * (STEPS // 2)
    flatten = flattened(lambda value: value, Budget())
    with pytest.raises(FilterTooCostly):
        flatten([shared, shared, shared])


def test_last_step_may_be_spent() -> None:
    budget = Budget()
    budget.spend(STEPS)
    with pytest.raises(FilterTooCostly):
        budget.spend(1)
