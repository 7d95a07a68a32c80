"""The axes of a plot, and the points that are left out of it: properties that hold for all numbers."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhookd_load_test.report import axis_ticks
from webhookd_load_test.report.axis_scale import Scale, spans_factor
from webhookd_load_test.report.thinning import COLUMN_PX, enveloped, thinned

PROPERTY = settings(max_examples=100, derandomize=True, database=None, deadline=None)
SIZES = st.floats(min_value=1e-9, max_value=1e15)
MOST = st.integers(min_value=1, max_value=12)
PIXELS = st.lists(st.tuples(st.floats(0, 300), st.floats(0, 200))).map(sorted)


@PROPERTY
@given(high=SIZES, most=MOST)
def test_linear_axis_holds_its_values_with_few_even_marks(high: float, most: int) -> None:
    axis = axis_ticks.linear(high, most)
    assert axis.low == axis.marks[0] == 0
    assert axis.high == axis.marks[-1] >= high * (1 - 1e-8)
    assert 2 <= len(axis.marks) <= most + 1
    steps = [after - before for before, after in zip(axis.marks, axis.marks[1:], strict=False)]
    assert all(math.isclose(step, steps[0], rel_tol=1e-6) for step in steps)
    mantissa = float(f"{steps[0]:e}".partition("e")[0])
    assert min(abs(mantissa - nice) for nice in (1, 2, 5, 10)) < 1e-5


@PROPERTY
@given(high=SIZES, most=MOST)
def test_marks_of_whole_numbers_are_whole(high: float, most: int) -> None:
    assert all(mark == round(mark) for mark in axis_ticks.linear(high, most, whole=True).marks)


def test_axis_of_nothing_is_one_high() -> None:
    assert axis_ticks.linear(0, 5) == (0, 1, [0, 1])


@PROPERTY
@given(ends=st.tuples(SIZES, SIZES).map(sorted), most=st.integers(min_value=3, max_value=12))
def test_logarithmic_axis_holds_its_values_with_few_marks(ends: list[float], most: int) -> None:
    low, high = ends
    axis = axis_ticks.logarithmic(low, high, most)
    assert 0 < axis.low < axis.high
    assert axis.high >= high * (1 - 1e-8)
    assert axis.low <= low * (1 + 1e-8) or axis.high / axis.low > 10 ** (axis_ticks.DECADES - 1)
    assert 1 <= len(axis.marks) <= most
    assert axis.marks == sorted(set(axis.marks))
    assert axis.low <= axis.marks[0] <= axis.marks[-1] <= axis.high


def test_logarithmic_axis_of_some_decades_has_their_powers() -> None:
    axis = axis_ticks.logarithmic(24, 10_400, 7)
    assert (axis.low, axis.high) == (20, 20_000)
    assert axis.marks == pytest.approx([100, 1000, 10_000])


@PROPERTY
@given(end_s=st.floats(min_value=1, max_value=1e8), most=MOST)
def test_times_begin_at_0_and_do_not_go_beyond_the_end(end_s: float, most: int) -> None:
    marks = axis_ticks.times(end_s, most)
    assert marks[0] == 0
    assert marks[-1] <= end_s
    assert len(marks) <= most + 1


@pytest.mark.parametrize(("end_s", "step_s"), [(70, 10), (3600, 600), (1200, 120), (9, 1), (1_000_000, 172_800)])
def test_times_count_as_people_do(end_s: float, step_s: float) -> None:
    assert axis_ticks.times(end_s, 10)[1] == step_s


@PROPERTY
@given(value=st.floats(), logarithmic=st.booleans())
def test_scale_never_leaves_its_axis(value: float, logarithmic: bool) -> None:
    scale = Scale(low=0.5, high=90.0, begin=200, end=20, logarithmic=logarithmic)
    assert 20 <= scale(value) <= 200


def test_scales_put_the_middle_in_the_middle() -> None:
    assert Scale(low=0, high=10, begin=0, end=100)(5) == 50
    assert Scale(low=1, high=100, begin=0, end=100, logarithmic=True)(10) == pytest.approx(50)


def test_decades_are_spanned_by_values_above_0() -> None:
    assert spans_factor([0, 1, 50], factor=50)
    assert not spans_factor([0, 1, 49], factor=50)
    assert not spans_factor([0, 0], factor=50)


@PROPERTY
@given(pixels=PIXELS)
def test_thinning_keeps_the_ends_and_every_spike(pixels: list[tuple[float, float]]) -> None:
    kept = list(thinned(pixels))
    columns = {int(x) for x, _ in pixels}
    assert len(kept) <= 4 * len(columns)
    for column in columns:
        before = [y for x, y in pixels if int(x) == column]
        after = [y for x, y in kept if int(x) == column]
        assert (before[0], min(before), max(before), before[-1]) == (after[0], min(after), max(after), after[-1])


@PROPERTY
@given(pixels=PIXELS)
def test_envelope_holds_every_point(pixels: list[tuple[float, float]]) -> None:
    found = list(enveloped(pixels))
    assert len(found) == len({int(x) // COLUMN_PX for x, _ in pixels})
    assert all(column.least <= column.average + 1e-9 <= column.greatest + 2e-9 for column in found)
    heights = [y for _, y in pixels]
    assert min((column.least for column in found), default=None) == min(heights, default=None)
    assert max((column.greatest for column in found), default=None) == max(heights, default=None)
