"""What callers see of the filters: match, no match, counted error."""

import json

import pytest

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


def test_filter_that_raises_counts_and_does_not_match() -> None:
    matcher = Matcher(["abs(type) > `1`"])
    assert not matcher.matches(ORDER)
    assert not matcher.matches(ORDER)
    assert matcher.errors == 2


def test_last_error_names_filter_but_not_record() -> None:
    matcher = Matcher(["total > `1`", "abs(type) > `1`"])
    matcher.matches(ORDER)
    assert matcher.last_error == "abs(type) > `1`: abs() takes number, not string"


def test_comparison_of_string_and_number_is_counted() -> None:
    matcher = Matcher(["type > `1`"])
    assert not matcher.matches(ORDER)
    assert matcher.errors == 1
    assert "order" not in matcher.last_error


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
