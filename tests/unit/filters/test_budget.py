"""What an evaluation may cost: bombs end early and count as no match, honest filters never notice.

That these tests end at all is what they assert; without the budget most of them outlive the machine.
"""

import json

import pytest

from webhookd.errors import FilterTooCostly
from webhookd.flow.filters.budget import BUILT_SHIFT, SCANNED_SHIFT, STEPS, Budget
from webhookd.flow.filters.matcher import Matcher
from webhookd.flow.filters.projections import flattened

STAGES = 25
DOUBLED = " | ".join(["[@, @]"] * 22)
LONG = "x" * 500_000

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
    "long texts searched": ("items[?contains(@, 'y')]", {"items": [LONG[:5000]] * 2000}),
    "arrays searched often": ("items[?contains(@, 'y')]", {"items": [[1] * 500] * 300}),
    "a long string reversed": ("reverse(a)", {"a": LONG}),
    "a long string compared often": ("items[?@ == @]", {"items": [LONG[:5000]] * 2000}),
    "a long string ordered often": ("items[?@ <= @]", {"items": [LONG[:5000]] * 2000}),
    "a long prefix compared often": ("items[?starts_with(@, @)]", {"items": [LONG[:5000]] * 2000}),
    "long keys sorted": ("sort_by(items, &@)", {"items": [LONG[:5000]] * 2000}),
    "long strings sorted": ("sort(items)", {"items": [LONG[:5000]] * 2000}),
    "maximum of long strings": ("[a, b] | " + " | ".join(["[@, @][]"] * 9) + " | max(@)", {"a": LONG, "b": LONG}),
    "long separators joined": ("join(a, items)", {"a": LONG[:5000], "items": [""] * 5000}),
    "a large array searched often": ("contains(items, a)", {"items": [[1] * 500] * 300, "a": [1] * 499 + [2]}),
    "a heavy projection": ("items[*].[@, @, @, @, @, @, @, @, @, @]", {"items": [1] * 5000}),
    "a heavy map": ("map(&[@, @, @, @, @, @, @, @, @, @], items)", {"items": [1] * 5000}),
    "a heavy condition": ("items[?a && b && c && d && e && f && g]", {"items": [1] * 5000}),
    "a heavy projection of members": ("@.*.[@, @, @, @]", {str(key): 1 for key in range(8000)}),
    "nested projections": ("[*][*][*]", [[list(range(40))] * 40] * 40),
    "members of one shared object": ("[*].keys(@)", [{str(key): 1 for key in range(500)}] * 200),
}


@pytest.mark.parametrize(("expression", "record"), BOMBS.values(), ids=BOMBS.keys())
def test_bomb_is_no_match_and_counted(expression: str, record: object) -> None:
    matcher = Matcher([expression])
    assert matcher.matches(json.dumps(record).encode()) is False
    assert matcher.errors == 1
    assert "more steps" in matcher.last_error


HONEST: dict[str, tuple[str, object]] = {
    "a condition on a thousand items": ("items[?a == 'x' && b > `1`]", {"items": [{"a": "x", "b": 2}] * 1000}),
    "a search in a large text": ("contains(text, 'y')", {"text": LONG + "y"}),
    "a large array of scalars": ("contains(items, 'y')", {"items": ["x"] * 10_000 + ["y"]}),
    "the text of a small record": ("contains(to_string(@), 'y')", {"items": [{"a": "y"}] * 100}),
    "a sum over a thousand items": ("sum(items[*].a) == `1000`", {"items": [{"a": 1}] * 1000}),
    "two arrays of different length": ("a != b", {"a": [1] * STEPS, "b": [1] * (STEPS + 1)}),
    "two large equal objects": ("a == b", {"a": {"x": list(range(5000))}, "b": {"x": list(range(5000))}}),
}


@pytest.mark.parametrize(("expression", "record"), HONEST.values(), ids=HONEST.keys())
def test_honest_filter_stays_within_budget(expression: str, record: object) -> None:
    matcher = Matcher([expression])
    assert matcher.matches(json.dumps(record).encode()) is True
    assert matcher.errors == 0


def test_each_record_starts_with_full_budget() -> None:
    matcher = Matcher(["items[?a]"])
    value = json.dumps({"items": [{"a": 1}] * 5000}).encode()
    assert [matcher.matches(value) for _ in range(5)] == [True] * 5


def test_filters_of_a_record_share_one_budget() -> None:
    value = json.dumps({"items": [{"a": 1}] * 5000}).encode()
    assert Matcher(["items[?a]"]).matches(value)
    assert not Matcher(["items[?a]"] * 5).matches(value)


def test_record_after_a_bomb_is_judged() -> None:
    matcher = Matcher([" | ".join(["[@, @][]"] * STAGES) + " | sum(@)", "@"])
    matcher.matches(b"1")
    assert Matcher(["a"]).matches(b'{"a": 1}')
    assert matcher.matches(b"1") is False
    assert matcher.errors == 2


def test_shared_parts_count_as_often_as_walked() -> None:
    shared = [1, 2, 3]
    budget = Budget()
    budget.spend_whole([shared, shared])
    assert STEPS - budget.left == (1 + 2) + 2 * (1 + 3 + 3)


def test_strings_cost_by_their_length() -> None:
    budget = Budget()
    budget.spend_whole("x" * 10_000)
    scanned = STEPS - budget.left
    budget.left = STEPS
    budget.spend_whole("x" * 10_000, BUILT_SHIFT)
    assert scanned == 1 + (10_000 >> SCANNED_SHIFT)
    assert STEPS - budget.left == 1 + (10_000 >> BUILT_SHIFT)


def test_flattening_is_charged_before_it_builds() -> None:
    shared = [1] * (STEPS // 2)
    flatten = flattened(lambda value: value, Budget())
    with pytest.raises(FilterTooCostly):
        flatten([shared, shared])


def test_last_step_may_be_spent() -> None:
    budget = Budget()
    budget.spend(STEPS)
    with pytest.raises(FilterTooCostly):
        budget.spend(1)
