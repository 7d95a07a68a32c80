"""Fields that were probably meant as literals are found in a filter, and fields that were meant are not."""

import pytest

from webhookd.flow.filters.literal_mistakes import compared_fields, mistaken

# expression · name, how it is to be written, whether it is certain without records
FOUND = [
    ('status == "paid"', "paid", "'paid'", True),
    ('status != "paid" && total > `1`', "paid", "'paid'", True),
    ('"paid" == status', "paid", "'paid'", True),
    ('"order-status" == "paid"', "paid", "'paid'", True),
    ('order.status == "paid"', "paid", "'paid'", True),
    ('length(items) == "3"', "3", "'3'", True),
    ('items[?state == "open"].id', "open", "'open'", True),
    ('items[0] == "a"', "a", "'a'", True),
    ('!("x" == y)', "x", "'x'", True),
    ('{kept: a == "b"}', "b", "'b'", True),
    ('status == "it\'s"', "it's", '`"it\'s"`', True),
    ('contains(tags, "new")', "new", "'new'", True),
    ('starts_with(name[?a(@, b)] , "x")', "x", "'x'", True),
    ("active == true", "true", "`true`", True),
    ("true == active", "true", "`true`", True),
    ("a == null", "null", "`null`", True),
    ("a == None || b", "None", "`null`", True),
    ("status == paid", "paid", "'paid'", False),
    ('"order-id" == items[0]', "order-id", "'order-id'", False),
]


@pytest.mark.parametrize(("expression", "name", "literal", "certain"), FOUND)
def test_field_in_place_of_a_literal_is_found(expression: str, name: str, literal: str, certain: bool) -> None:
    [found] = compared_fields(expression)
    assert (found.name, found.literal, found.certain) == (name, literal, certain)


@pytest.mark.parametrize(
    "expression",
    [
        "status == 'paid'",
        "total > `1`",
        "\"order-id\" == 'A1'",
        '`"paid"` == status',
        "contains(\"order-tags\", 'x')",
        'contains(tags, "a".b)',
        "a.b == c.d",
        '"a b".c == d[0]',
        '"order-id"',
        "a || b",
        "a[?b].c",
    ],
)
def test_other_fields_are_left_alone(expression: str) -> None:
    assert compared_fields(expression) == []


def test_two_mistakes_are_both_found() -> None:
    assert [found.name for found in compared_fields('a == "x" || b == "y" || c == "x"')] == ["x", "y"]


def test_field_that_a_record_has_is_no_mistake() -> None:
    fields = compared_fields('billing == "order-id"')
    assert mistaken(fields, {"order-id"}, records=3) == []
    assert mistaken(fields, {"other"}, records=3) == fields
    assert mistaken(fields, set(), records=0) == fields


def test_comparison_of_two_fields_needs_records_to_be_a_mistake() -> None:
    fields = compared_fields("status == paid")
    assert mistaken(fields, set(), records=0) == []
    assert mistaken(fields, {"status"}, records=1) == fields
