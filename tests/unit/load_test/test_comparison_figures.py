"""Bounds, stalls, seconds, latencies and what a run of many subscriptions prints.

Oracle: the figures that follow from the times, written out; for percentiles a sorted list and Python's `statistics`.
"""

import io
import statistics
from array import array
from math import ceil
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tests.unit.load_test.run_files import BEGAN_NS, MS, Run, Sent, good_run, order
from webhookd_load_test.compare import comparison
from webhookd_load_test.compare.compare_display import PLAIN_WIDTH, show
from webhookd_load_test.compare.latencies import LONGEST_MS, between_ms, latency_of
from webhookd_load_test.compare.number_set import NumberSet
from webhookd_load_test.compare.shown_progress import shown_progress
from webhookd_load_test.progress_display import LINE_S
from webhookd_load_test.run_folder import facts as run_facts
from webhookd_load_test.run_folder.bounds import Bounds
from webhookd_load_test.run_folder.facts import Headroom, RunSubscription
from webhookd_load_test.run_folder.result import Latency, Result

ORDERS = RunSubscription(id="s-1", name="orders", path="/orders", topics=["orders"])


def one_lane(*times_ms: tuple[int, int]) -> Run:
    """A run of one lane: when each record was acknowledged, and when it arrived."""
    sent = [Sent("orders", order(number), None, 0, number, at_ms) for number, (at_ms, _) in enumerate(times_ms)]
    run = Run([ORDERS], sent)
    run.deliver_all()
    run.got = [one._replace(at_ms=at_ms) for one, (_, at_ms) in zip(run.got, times_ms, strict=True)]
    return run


def compared(run: Run, path: Path, bounds: Bounds | None = None, **facts: object) -> Result:
    folder = run.write(path / "run")
    run_facts.write(folder.facts, msgspec.structs.replace(run.facts(), **facts))
    return comparison.compare(folder, bounds)


def stall(run: Run, path: Path) -> tuple[float, str]:
    (found,) = compared(run, path).subscriptions
    return round(found.longest_stall_s, 3), found.longest_stall_lane


def test_stall_counts_from_the_record_that_waits(tmp_path: Path) -> None:
    assert stall(one_lane((0, 10), (5000, 5030), (5010, 5031)), tmp_path) == (0.03, "orders[0]")


def test_stall_counts_from_the_last_arrival(tmp_path: Path) -> None:
    assert stall(one_lane((0, 10), (1, 3010), (2, 4010)), tmp_path) == (3.0, "orders[0]")


def test_lane_that_has_a_record_to_the_end_stands_still_to_the_end(tmp_path: Path) -> None:
    run = one_lane((0, 10), (100, 150), (200, 250))
    del run.got[1]
    assert stall(run, tmp_path) == (1.0, "orders[0]")  # from 250 ms to the end at 1250 ms


def test_no_stall_has_no_lane(tmp_path: Path) -> None:
    assert stall(one_lane((10, 10), (20, 15)), tmp_path) == (0.0, "")


@pytest.mark.parametrize(("faulty", "max_ms"), [((True, False), 7.0), ((True, True), 50.0)])
def test_latency_of_the_run_is_that_of_endpoints_that_do_not_fail_on_purpose(
    tmp_path: Path, faulty: tuple[bool, bool], max_ms: float
) -> None:
    slow, quick = (
        RunSubscription(id=name, name=name, path=f"/{name}", topics=["orders"], faulty=fails)
        for name, fails in zip(("slow", "quick"), faulty, strict=True)
    )
    run = Run([slow, quick], [Sent("orders", order(number), None, 0, number, 0) for number in range(3)])
    run.deliver_all()
    run.got = [one._replace(at_ms=50) if one.path == "/slow" else one for one in run.got]
    found = compared(run, tmp_path)
    assert found.latency is not None
    assert found.latency.max_ms == max_ms
    assert found.seconds[0].latency_p99_ms == max_ms


def test_bound_of_stalls_holds_for_endpoints_that_do_not_fail_on_purpose(tmp_path: Path) -> None:
    run = one_lane((0, 10), (1, 3010))
    assert compared(run, tmp_path / "a", Bounds(stall_s=3.0)).passed
    assert compared(run, tmp_path / "b", Bounds(stall_s=2.9)).faults == [
        "1 subscription had a lane that stood still for longer than 2.9 s; the longest: 3.0 s, orders[0] of orders"
    ]
    run.subscriptions = [msgspec.structs.replace(ORDERS, faulty=True)]
    assert compared(run, tmp_path / "c", Bounds(stall_s=2.9)).passed


def test_bounds_are_those_of_the_settings(tmp_path: Path) -> None:
    run = one_lane((0, 10), (1, 3010))
    settings = {"load.rows": "2", "bounds.stall_s": "1.5", "bounds.duplicates": "None", "bounds.drain_s": "2"}
    faults = compared(run, tmp_path, settings=settings).faults
    assert [fault.partition(" ")[2][:20] for fault in faults] == ["subscription had a l", "last record arrived "]


def test_last_record_must_arrive_in_time(tmp_path: Path) -> None:
    assert compared(one_lane((0, 500)), tmp_path / "a", Bounds(drain_s=0.5)).passed
    assert compared(one_lane((0, 500)), tmp_path / "b", Bounds(drain_s=0.4)).faults == [
        "the last record arrived 0.5 s after the load, the bound is 0.4 s"
    ]


def test_growing_process_is_a_fault_where_memory_must_be_flat(tmp_path: Path) -> None:
    flat = {"ingest": "12 MiB an hour"}
    assert compared(good_run(), tmp_path / "a", Bounds(), flat=flat).passed
    assert compared(good_run(), tmp_path / "b", Bounds(flat_memory=True), flat=flat).faults == [
        "not flat: ingest: 12 MiB an hour"
    ]


def test_run_that_ended_early_is_partial_and_has_not_passed(tmp_path: Path) -> None:
    result = compared(good_run(), tmp_path, complete=False, reason="SIGINT")
    assert (result.passed, result.partial, result.faults) == (
        False,
        True,
        ["partial: the run ended early (SIGINT)"],
    )
    assert [one.delivered for one in result.subscriptions] == [30, 40, 22]
    assert printed(result).startswith("PARTIAL: no verdict: the run ended early\n")


def test_run_that_did_not_drain_is_complete_and_has_failed(tmp_path: Path) -> None:
    undrained = "1 of 3 subscriptions had not committed everything 5 s after the last record; s-2: lag 7"
    result = compared(good_run(), tmp_path, undrained=undrained)
    assert (result.passed, result.partial, result.faults) == (False, False, [undrained])
    assert printed(result).startswith("FAILED\n")


@pytest.mark.parametrize(
    ("producer_per_s", "receiver_per_s", "needed_per_s", "faults"),
    [
        (150.0, 150.0, 100.0, []),
        (100.0, 100.0, 0.0, []),
        (149.9, 4000.0, 100.0, ["the producer was measured at 150 records/s alone, 1.49 times"]),
        (4000.0, 60.0, 100.0, ["the receiver was measured at 60 records/s alone, 0.60 times"]),
        (
            50.0,
            60.0,
            100.0,
            [
                "the producer was measured at 50 records/s alone, 0.50 times",
                "the receiver was measured at 60 records/s alone, 0.60 times",
            ],
        ),
    ],
)
def test_run_of_a_load_test_without_headroom_has_not_passed(
    tmp_path: Path, producer_per_s: float, receiver_per_s: float, needed_per_s: float, faults: list[str]
) -> None:
    headroom = Headroom(
        producer_per_s=producer_per_s,
        receiver_per_s=receiver_per_s,
        needed_producer_per_s=needed_per_s,
        needed_receiver_per_s=needed_per_s,
    )
    rest = " what the scenario needs; 1.5 times are needed for the figures to be webhookd's"
    assert compared(good_run(), tmp_path, headroom=headroom).faults == [f"{one}{rest}" for one in faults]


def test_seconds_have_what_came_in_and_went_out(tmp_path: Path) -> None:
    run = one_lane((0, 40), (100, 150), (2900, 3100))
    run.got.append(run.got[0]._replace(at_ms=1700))
    run.got.append(run.got[0]._replace(at_ms=1800, status=503))
    result = compared(run, tmp_path)
    rows = [(one.published, one.received, one.duplicates, one.refused, one.latency_p50_ms) for one in result.seconds]
    assert rows == [(2, 2, 0, 0, 40.0), (0, 1, 1, 1, None), (1, 0, 0, 0, None), (0, 1, 0, 0, 200.0)]
    assert [one.at_s for one in result.seconds] == [0, 1, 2, 3]
    assert result.throughput_per_s == pytest.approx(4 / 3.06)


def test_latency_counts_from_the_append_and_from_the_publication(tmp_path: Path) -> None:
    run = one_lane((0, 40), (100, 150))
    run.got = [one._replace(appended_ms=one.appended_ms + 15) for one in run.got]
    result = compared(run, tmp_path)
    assert result.latency == latency_of([array("I", [25, 35])])
    assert result.latency_from_publish == latency_of([array("I", [40, 50])])


@given(st.lists(st.lists(st.integers(0, LONGEST_MS), max_size=30), min_size=1, max_size=5))
def test_percentiles_are_those_of_a_sorted_list(lists: list[list[int]]) -> None:
    values = sorted(value for one in lists for value in one)
    found = latency_of(array("I", one) for one in lists)
    if not values:
        assert found is None
        return
    p90, p99, p999 = (values[ceil(len(values) * permille / 1000) - 1] for permille in (900, 990, 999))
    assert found == Latency(
        min_ms=min(values),
        average_ms=sum(values) / len(values),
        max_ms=max(values),
        p50_ms=statistics.median_low(values),
        p90_ms=p90,
        p99_ms=p99,
        p999_ms=p999,
    )


def test_arrival_before_the_append_counts_as_0_and_a_missing_timestamp_as_the_longest() -> None:
    assert (between_ms(5, 4), between_ms(-1, BEGAN_NS // MS)) == (0, LONGEST_MS)


@given(st.sets(st.integers(0, 200)), st.sets(st.integers(0, 200)), st.integers(-9, 2**40))
def test_number_set_is_a_set(ones: set[int], others: set[int], any_number: int) -> None:
    one, other = NumberSet(), NumberSet()
    assert all(one.add(number) for number in ones)
    assert all(other.add(number) for number in others)
    assert not any(one.add(number) for number in ones)
    assert list(one) == sorted(ones)
    assert (len(one), any_number in one) == (len(ones), any_number in ones)
    assert (set(one & other), set(one - other)) == (ones & others, ones - others)


def printed(result: Result) -> str:
    text = io.StringIO()
    show(result, Console(file=text, width=PLAIN_WIDTH))
    return text.getvalue()


def test_many_subscriptions_are_summed_and_those_with_faults_named(tmp_path: Path) -> None:
    run = good_run(12)
    names = [*(f"fast {number}" for number in range(20)), *(f"slow-{number}" for number in range(5))]
    run.subscriptions = [RunSubscription(id=name, name=name, path=f"/{name}", topics=["orders"]) for name in names]
    run.deliver_all()
    run.got = [one for one in run.got if (one.path, one.number) not in {("/slow-3", 4), ("/slow-3", 5)}]
    lines = [line.split() for line in printed(compared(run, tmp_path)).splitlines()]
    assert ["20", "×", "fast", "180", "180", "0"] in [line[:6] for line in lines]
    assert ["5", "×", "slow", "45", "43", "2"] in [line[:6] for line in lines]
    assert ["with", "faults:", "slow-3", "9", "7", "2"] in [line[:6] for line in lines]
    assert ["all", "25", "225", "223", "2"] in [line[:5] for line in lines]
    assert ["slow-3:", "record", "5,", "orders[0]", "offset", "102"] in lines


def test_what_is_neither_expected_nor_a_fault_is_a_line_if_there_is_any(tmp_path: Path) -> None:
    result = compared(good_run(), tmp_path)
    assert "delivered though" not in printed(result)
    assert "undecided" not in printed(result)
    first, *others = result.subscriptions
    first = msgspec.structs.replace(first, undecided=1, unacknowledged=2000)
    text = printed(msgspec.structs.replace(result, subscriptions=[first, *others]))
    assert "undecided: 1 record, not JSON or not judged by a filter: not to be delivered\n" in text
    assert "delivered though Kafka had not acknowledged: 2,000 records\n" in text


def test_missing_records_beyond_the_listed_ones_are_counted(tmp_path: Path) -> None:
    run = good_run(150)
    run.got = []
    result = compared(run, tmp_path)
    assert [(one.lost, len(one.missing)) for one in result.subscriptions] == [(113, 100), (150, 100), (88, 88)]
    assert "  and 331 more; result.json lists the first of each subscription" in printed(result)


def test_progress_is_a_line_now_and_then_without_a_terminal() -> None:
    text, now_s = io.StringIO(), [100.0]
    with shown_progress(Console(file=text, width=PLAIN_WIDTH), lambda: now_s[0]) as report:
        for done in range(0, 4_000_000, 1_000_000):
            report("deliveries", done, 5_000_000)
            now_s[0] += LINE_S / 2
    assert text.getvalue().splitlines() == ["comparing: 2,000,000 of 5,000,000 deliveries (40%)"]


def test_progress_is_a_bar_for_each_thing_on_a_terminal() -> None:
    text = io.StringIO()
    with shown_progress(Console(file=text, width=PLAIN_WIDTH, force_terminal=True), lambda: 0.0) as report:
        report("published records", 2, 2)
        report("deliveries", 3, 3)
    assert "2 of 2 published records" in text.getvalue()
    assert "3 of 3 deliveries" in text.getvalue()
