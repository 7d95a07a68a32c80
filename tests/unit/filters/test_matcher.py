"""The matcher as its callers see it: a match, no match, or an error that names the filter."""

import json

import pytest

from webhookd.errors import FilterFailed, FilterTooCostly
from webhookd.flow.filters.matcher import Matcher

ORDER = json.dumps(
    {"type": "order.created", "total": 149.95, "customer": {"country": "NL"}, "items": [{"sku": "A"}], "note": "été"}
).encode()


def test_everything_matches_without_filters() -> None:
    matcher = Matcher([])
    assert matcher.matches(ORDER)
    assert matcher.matches(b"null")
    assert matcher.matches(None)


def test_all_filters_must_hold() -> None:
    assert Matcher(["type == 'order.created'", "total > `100`"]).matches(ORDER)
    assert not Matcher(["type == 'order.created'", "total > `200`"]).matches(ORDER)
    assert not Matcher(["type == 'order.deleted'", "total > `100`"]).matches(ORDER)


@pytest.mark.parametrize("value", ["null", "false", '""', "[]", "{}"])
def test_false_like_result_does_not_match(value: str) -> None:
    assert not Matcher(["a"]).matches(f'{{"a": {value}}}'.encode())
    assert not Matcher(["@"]).matches(value.encode())


@pytest.mark.parametrize("value", ["0", "0.0", "-0.0", "true", '" "', "[null]", '{"": null}'])
def test_any_other_result_matches(value: str) -> None:
    assert Matcher(["a"]).matches(f'{{"a": {value}}}'.encode())
    assert Matcher(["@"]).matches(value.encode())


def test_missing_field_does_not_match() -> None:
    assert not Matcher(["customer.name"]).matches(ORDER)
    assert not Matcher(["missing.name == 'x'"]).matches(ORDER)


def test_tombstone_is_json_null() -> None:
    assert not Matcher(["type == 'order.created'"]).matches(None)
    assert Matcher(["@ == `null`"]).matches(None)
    assert Matcher(["type(@) == 'null'"]).matches(None)


@pytest.mark.parametrize("value", [b"[1]", b'"text"', b"7", b"null"])
def test_record_that_is_no_object_has_no_fields(value: bytes) -> None:
    assert not Matcher(["type"]).matches(value)
    assert Matcher(["!type"]).matches(value)


def test_field_of_other_shape_than_expected_is_missing() -> None:
    matcher = Matcher(["!(customer.country)"])
    assert matcher.matches(b'{"customer": "ACME"}')
    assert matcher.matches(b'{"customer": [{"country": "NL"}]}')
    assert matcher.matches(b'{"customer": null}')
    assert not matcher.matches(ORDER)


RAISES = "abs(type) > `1`"
COSTLY = "`[1]` | " + " | ".join(["[@, @][]"] * 20)


def test_filter_that_raises_is_named_without_the_record() -> None:
    matcher = Matcher(["total > `1`", RAISES])
    with pytest.raises(FilterFailed) as caught:
        matcher.matches(ORDER)
    assert caught.value.detail == matcher.last_error == "abs(type) > `1`: abs() takes number, not string"


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("total > '2'", b'{"total": 3}'),
        ("total > `2`", b'{"total": "secret"}'),
        ("contains(tags, 'x')", b'{"tags": null}'),
        ("contains(tags, `1`)", b'{"tags": "secret"}'),
        ("length(tags) > `1`", b"{}"),
        ("sum(tags) > `1`", b'{"tags": ["secret"]}'),
        ("items[::0]", b'{"items": [1]}'),
        ("ceil(total) > `1`", b'{"total": 1e999}'),
    ],
)
def test_each_kind_of_error_is_raised_as_one(expression: str, value: bytes) -> None:
    matcher = Matcher([expression])
    with pytest.raises(FilterFailed) as caught:
        matcher.matches(value)
    assert caught.value.detail.startswith(f"{expression}: ")
    assert "secret" not in caught.value.detail
    assert matcher.errors == 1


@pytest.mark.parametrize("value", [b'{"tags": null}', b"{}", b'{"tags": 5}', b'{"tags": []}'])
def test_guarded_filter_does_not_raise(value: bytes) -> None:
    assert not Matcher(["type(tags) == 'array' && contains(tags, 'x')"]).matches(value)


def test_dropped_errors_are_no_match_and_counted() -> None:
    matcher = Matcher([RAISES], drops_errors=True)
    assert [matcher.matches(ORDER) for _ in range(2)] == [False, False]
    assert (matcher.errors, matcher.last_error) == (2, "abs(type) > `1`: abs() takes number, not string")


@pytest.mark.parametrize("broken", [RAISES, COSTLY])
@pytest.mark.parametrize("before", [True, False])
def test_rejection_by_another_filter_decides(broken: str, *, before: bool) -> None:
    no = ["total > `200`", "items[?sku == 'B']"]
    matcher = Matcher([broken, *no] if before else [*no, broken])
    assert not matcher.matches(ORDER)
    assert matcher.errors == 0


def test_costly_filter_is_never_dropped() -> None:
    matcher = Matcher([COSTLY, "paid"], drops_errors=True)
    with pytest.raises(FilterTooCostly, match="more steps"):
        matcher.matches(ORDER.replace(b'"note"', b'"paid": true, "note"'))


@pytest.mark.parametrize("expressions", [[RAISES, COSTLY], [COSTLY, RAISES]])
def test_filter_that_raises_outranks_a_costly_one(expressions: list[str]) -> None:
    assert not Matcher(expressions, drops_errors=True).matches(ORDER)
    with pytest.raises(FilterFailed):
        Matcher(expressions).matches(ORDER)


def test_record_that_nests_deep_is_no_crash() -> None:
    nested = "[" * 800 + "]" * 800
    matcher = Matcher(["a == b"])
    matcher.matches(f'{{"a": {nested}, "b": {nested}}}'.encode())
    assert Matcher(["a"]).matches(f'{{"a": 1, "b": {nested}}}'.encode())


def test_filter_that_does_not_match_is_no_error() -> None:
    matcher = Matcher(["total > `200`", "abs(type)"])
    assert not matcher.matches(ORDER)
    assert matcher.errors == 0
    assert matcher.last_error == ""


def test_text_beyond_ascii_is_compared() -> None:
    assert Matcher(["note == 'été'"]).matches(ORDER)
    assert Matcher(["note == 'été'"]).matches('{"note": "été"}'.encode())
