"""What is drawn of a plot: finite numbers whatever the data, names and badges that do not cover each other."""

import math
import re
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhookd_load_test.report import number_format
from webhookd_load_test.report.canvas import NARROW, WIDE, Canvas
from webhookd_load_test.report.drawing import DENSE, Drawing, drawing, spread
from webhookd_load_test.report.event_labels import MOST_ROWS, Label, event_strip
from webhookd_load_test.report.event_marks import badges, marks
from webhookd_load_test.report.plot import Plot, summary
from webhookd_load_test.report.text_width import width
from webhookd_load_test.report.time_series import Series, by_second, growth, of_process, parted, process_names, sampled
from webhookd_load_test.run_folder.facts import Event
from webhookd_load_test.run_folder.result import Second
from webhookd_load_test.run_folder.samples import ProcessSample, Sample

PROPERTY = settings(max_examples=100, derandomize=True, database=None, deadline=None)
SECOND_NS = 1_000_000_000
CANVASES = pytest.mark.parametrize("canvas", [WIDE, NARROW], ids=lambda canvas: canvas.name)
VALUES = st.floats(min_value=0, max_value=1e15)
TIMES = st.lists(st.floats(min_value=0, max_value=4000), max_size=60).map(sorted)


def plot(*series: Series, logarithmic: bool = False, noisy: bool = False, filled: bool = False) -> Plot:
    return Plot(
        key="k", title="t", about="a", series=list(series), label=number_format.plain, absent="nothing",
        logarithmic=logarithmic, noisy=noisy, filled=filled,
    )  # fmt: skip


def numbers(drawn: Drawing) -> list[float]:
    """All coordinates of a drawing."""
    paths = "".join(line.path + line.area + line.envelope for line in drawn.lines)
    texts = re.sub("[MLZh,]", " ", paths).split()
    names = [line.name_y for line in drawn.lines if line.name_y is not None]
    return [*map(float, texts), *(tick.at for tick in [*drawn.x_ticks, *drawn.y_ticks]), *names]


@CANVASES
@pytest.mark.parametrize("logarithmic", [False, True])
@pytest.mark.parametrize(
    "points",
    [
        [(0.0, 0.0)],
        [(5.0, 7.0)],
        [(0.0, 0.0), (9.0, 0.0)],
        [(0.0, 3.0), (9.0, 3.0)],
        [(2.0, 1e-300), (3.0, 1e15)],
        [(0.0, 5e-324)],
    ],
    ids=["zero", "one point", "zeros", "constant", "far apart", "denormal"],
)
def test_degenerate_data_is_drawn_with_finite_numbers(
    canvas: Canvas, logarithmic: bool, points: list[tuple[float, float]]
) -> None:
    drawn = drawing(plot(Series("s", [points]), logarithmic=logarithmic, filled=True), canvas, 10.0, [])
    assert drawn.lines[0].path
    assert all(map(math.isfinite, numbers(drawn)))


@PROPERTY
@given(values=st.lists(VALUES, min_size=1, max_size=400), logarithmic=st.booleans(), noisy=st.booleans())
def test_all_data_is_drawn_inside_of_its_canvas(values: list[float], logarithmic: bool, noisy: bool) -> None:
    series = Series("s", [list(map(tuple, enumerate(values)))])  # type: ignore[arg-type]  # pairs
    drawn = drawing(plot(series, logarithmic=logarithmic, noisy=noisy), WIDE, float(len(values)), [])
    for x, y in re.findall(r"([\d.]+),([\d.]+)", drawn.lines[0].path + drawn.lines[0].envelope):
        assert WIDE.left <= float(x) <= WIDE.end_x
        assert WIDE.top <= float(y) <= WIDE.floor_y


def test_a_point_alone_is_a_dot() -> None:
    drawn = drawing(plot(Series("s", [[(5.0, 1.0)]])), WIDE, 10.0, [])
    assert drawn.lines[0].path.endswith("h0")


def test_a_gap_is_not_bridged() -> None:
    series = parted("s", [(1.0, 4.0), (2.0, 4.0), (3.0, None), (4.0, 4.0), (5.0, 4.0)])
    assert drawing(plot(series), WIDE, 10.0, []).lines[0].path.count("M") == 2


def test_a_spike_in_an_hour_is_drawn_to_its_height() -> None:
    calm = [(float(at_s), 1.0) for at_s in range(3600)]
    calm[1801] = (1801.0, 100.0)
    (line,) = drawing(plot(Series("s", [calm])), WIDE, 3600.0, []).lines
    assert f",{WIDE.top:.1f}" in line.path
    assert len(line.path) < 40_000


def test_an_average_has_its_values_around_it() -> None:
    noise = Series("s", [[(float(at_s), float(at_s % 2)) for at_s in range(DENSE + 1)]])
    (line,) = drawing(plot(noise, noisy=True), NARROW, float(DENSE), []).lines
    assert line.envelope
    assert not drawing(plot(noise), NARROW, float(DENSE), []).lines[0].envelope


@PROPERTY
@given(wanted=st.lists(st.floats(20, 180), max_size=8))
def test_names_are_apart_and_inside(wanted: list[float]) -> None:
    found = spread(wanted, 14, 20, 180)
    assert all(after - before >= 14 - 1e-6 for before, after in pairwise(sorted(found)))
    assert all(20 - 1e-6 <= place <= 180 + 1e-6 for place in found)
    assert [found[place] for place in sorted(range(len(wanted)), key=lambda one: wanted[one])] == sorted(found)


def test_names_of_lines_that_end_together_are_apart() -> None:
    drawn = drawing(plot(*(Series(f"w{n}", [[(0.0, 1.0), (9.0, 2.0)]]) for n in range(8))), WIDE, 10.0, [])
    places = sorted(line.name_y for line in drawn.lines if line.name_y is not None)
    assert len(places) == 8
    assert all(after - before >= 12 for before, after in pairwise(places))


def test_last_label_of_the_time_axis_is_inside() -> None:
    *_, last = drawing(plot(Series("s", [[(0.0, 1.0)]])), NARROW, 1800.0, []).x_ticks
    assert last.label == "1,800 s"
    assert last.label_at + width(last.label, 12) / 2 <= NARROW.width


def events(times_s: list[float], text: str = "broker 2 killed") -> list[Event]:
    return [Event(kind="broker", at_ns=int(at_s * SECOND_NS), text=text) for at_s in times_s]


@CANVASES
@PROPERTY
@given(times_s=TIMES)
def test_badges_never_touch_and_name_every_event(canvas: Canvas, times_s: list[float]) -> None:
    found = badges(marks(events(times_s), 0), canvas, 4000.0)
    for left, right in pairwise(found):
        assert left.x + left.width / 2 < right.x - right.width / 2
    assert [number for badge in found for number in range(badge.first, badge.last + 1)] == [
        number for number, _ in enumerate(times_s, 1)
    ]
    assert all(canvas.left <= badge.x - badge.width / 2 + 1e-6 for badge in found)
    assert all(badge.x + badge.width / 2 <= canvas.end_x + 1e-6 for badge in found)


@CANVASES
@PROPERTY
@given(times_s=TIMES, text=st.text(min_size=1, max_size=200))
def test_labels_never_touch_and_stay_inside(canvas: Canvas, times_s: list[float], text: str) -> None:
    strip = event_strip(marks(events(times_s, text), 0), canvas, 4000.0)
    assert len(strip.rows) <= MOST_ROWS
    assert sum(map(len, strip.rows)) + strip.left_out == len(times_s)
    assert not [pair for row in strip.rows for pair in combinations(row, 2) if covered(*pair)]
    edges = [edge for row in strip.rows for label in row for edge in label.edges]
    assert all(-1e-6 <= edge <= canvas.width + 1e-6 for edge in edges)


def covered(one: Label, other: Label) -> bool:
    return one.edges[0] < other.edges[1] and other.edges[0] < one.edges[1]


def test_an_event_that_took_time_is_a_band() -> None:
    (mark,) = marks([Event(kind="broker", at_ns=10 * SECOND_NS, until_ns=20 * SECOND_NS, text="added")], 0)
    (span,) = event_strip([mark], WIDE, 100.0).spans
    assert span.width == pytest.approx((WIDE.end_x - WIDE.left) / 10)


def test_seconds_that_are_not_listed_had_no_records() -> None:
    listed = [Second(at_s=0, received=5, latency_p50_ms=2.0), Second(at_s=3, received=4, latency_p50_ms=3.0)]
    assert by_second("s", listed, lambda second: second.received).points == [(0.5, 5), (1.5, 0), (2.5, 0), (3.5, 4)]
    assert by_second("s", listed, lambda second: second.latency_p50_ms).parts == [[(0.5, 2.0)], [(3.5, 3.0)]]


def sample(at_s: float, received: int = 0, **processes: float) -> Sample:
    states = {name: ProcessSample(cpu_s=cpu_s, resident_bytes=1, descriptors=1) for name, cpu_s in processes.items()}
    return Sample(at_ns=int(at_s * SECOND_NS), received=received, processes=states)


def test_growth_is_a_second_and_begins_anew_with_a_process() -> None:
    taken = [sample(10, w=1.0), sample(12, w=2.0), sample(13, w=0.1), sample(14, w=0.4), sample(15)]
    found = growth("w", taken, 10 * SECOND_NS, of_process("w", lambda state: state.cpu_s))
    assert [[(at_s, round(value, 6)) for at_s, value in part] for part in found.parts] == [[(2, 0.5)], [(4, 0.3)]]


def test_samples_before_the_load_are_left_out() -> None:
    taken = [sample(9, received=1), sample(11, received=2)]
    assert sampled("s", taken, 10 * SECOND_NS, lambda one: one.received).points == [(1.0, 2)]


def test_processes_are_in_the_order_of_their_numbers() -> None:
    taken = [sample(1, **{"worker-10": 1, "worker-2": 1}), sample(2, **{"ingest-1": 1})]
    assert process_names(taken) == ["ingest-1", "worker-2", "worker-10"]


def test_a_series_is_also_told_in_words() -> None:
    series = Series("lag", [[(1.0, 3.0), (2.0, 1200.0)], [(4.0, 7.0)]])
    assert summary(series, number_format.count) == "lag: lowest 3, highest 1,200 at 2 s, last 7."
