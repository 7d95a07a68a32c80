"""Which filters can be looked up by an equality, and by which one."""

import pytest

from webhookd.flow.filters.equality_predicates import Equality, Guard, equalities
from webhookd.flow.filters.expression import parse


def found(*filters: str) -> list[Equality]:
    return equalities([parse(one) for one in filters])


@pytest.mark.parametrize(
    ("expression", "path", "literals"),
    [
        ("tenant == 'x'", ("tenant",), {"x"}),
        ("'x' == tenant", ("tenant",), {"x"}),
        ("a.b == `5`", ("a", "b"), {5}),
        ("@.a | b == `5.5`", None, set()),
        ("@ == 'x'", (), {"x"}),
        ("a == 'x' || a == 'y' || 'z' == a", ("a",), {"x", "y", "z"}),
        ("a == `1` || a == `1.0`", ("a",), {1}),
        ("(a == 'x' || a == 'y') && b", ("a",), {"x", "y"}),
        ("a == 'x' || b == 'x'", None, set()),
        ("a == 'x' || a != 'y'", None, set()),
        ("a == 'x' || b", None, set()),
        ("a != 'x'", None, set()),
        ("!(a == 'x')", None, set()),
        ("a > `5`", None, set()),
        ("a == `true`", None, set()),
        ("a == `null`", None, set()),
        ("a == `[1]`", None, set()),
        ("a == b", None, set()),
        ("a[0] == 'x'", None, set()),
        ("'x' == 'x'", None, set()),
        ("length(a) == `2`", None, set()),
    ],
)
def test_single_equality(expression: str, path: tuple[str, ...] | None, literals: set[object]) -> None:
    whole = "&&" not in expression
    wanted = [] if path is None else [Equality(path=path, literals=frozenset(literals), place=0, whole=whole)]  # type: ignore[arg-type]  # a set of literals
    assert found(expression) == wanted


def test_every_conjunct_can_be_used() -> None:
    assert [one.path for one in found("a == 'x' && b && (c == 'y' && d == `1`)")] == [("a",), ("c",), ("d",)]


def test_filters_are_anded() -> None:
    assert [(one.path, one.place, one.whole) for one in found("b", "a == 'x'", "c == 'x' && b")] == [
        (("a",), 1, True),
        (("c",), 2, False),
    ]


@pytest.mark.parametrize(
    "before",
    ["b", "!b", "b.c[0].d", "b != 'x'", "b == `[1]`", "b < `true`", "(b || c)", "!(b && c)", "`true`", "b == `1`"],
)
def test_conjunct_that_never_raises_may_stand_before(before: str) -> None:
    last = found(f"{before} && a == 'x'")[-1]
    assert (last.path, last.guards) == (("a",), frozenset())


@pytest.mark.parametrize(
    ("before", "guards"),
    [
        ("b > `5`", {Guard(("b",), frozenset({str}))}),
        ("`5` > b", {Guard(("b",), frozenset({str}))}),
        ("b.c >= 'm'", {Guard(("b", "c"), frozenset({int, float}))}),
        ("(b > `5` || !(c < 'x'))", {Guard(("b",), frozenset({str})), Guard(("c",), frozenset({int, float}))}),
    ],
)
def test_comparison_of_order_before_is_a_guard(before: str, guards: set[Guard]) -> None:
    (one,) = found(f"{before} && a == 'x'")
    assert one.guards == guards
    assert not one.whole


@pytest.mark.parametrize(
    "before", ["length(b)", "b > c", "b[0] > `5`", "b[?c]", "b[*]", "[b, c]", "b[::0]", "(b | c > `5`)", "abs(b) > `1`"]
)
def test_nothing_is_used_after_what_may_raise(before: str) -> None:
    assert found(f"{before} && a == 'x'") == []
    assert [one.path for one in found(f"a == 'x' && {before} && c == 'x'")] == [("a",)]


def test_nothing_before_the_equality_is_no_guard_for_another_filter() -> None:
    assert [one.guards for one in found("b > `5`", "a == 'x'")] == [frozenset()]
