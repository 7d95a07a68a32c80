"""When failing filters become a problem of the subscription, and when the problem is over."""

from dataclasses import dataclass

import pytest

from webhookd.flow.monitoring.filter_failures import CLEAN_IN_A_ROW, IN_A_ROW, FailureDetector

NAMES = {"orders": ("paid", "total > '2'"), "refunds": ("a",)}


@dataclass
class Counter:
    errors: int = 0
    last_error: str = "total > '2': why"


class Scene:
    def __init__(self, previous_detail: str = "") -> None:
        self.counters = {"orders": Counter(), "refunds": Counter(last_error="a: why")}
        self.watch = FailureDetector(self.counters, NAMES, previous_detail)

    def add_poll(self, records: int, errors: int = 0, topic: str = "orders") -> str | None:
        self.counters[topic].errors += errors
        return self.watch.add_poll(topic, records)

    def fails(self) -> None:
        assert self.add_poll(IN_A_ROW, IN_A_ROW)


def test_errors_in_a_row_are_a_problem_with_detail() -> None:
    scene = Scene()
    details = [scene.add_poll(1, 1) for _ in range(IN_A_ROW)]
    assert details == [None] * (IN_A_ROW - 1) + ["orders: total > '2': why (20 of the last 20 records)"]
    assert scene.watch.failing


def test_record_without_error_interrupts_the_row() -> None:
    scene = Scene()
    details = [scene.add_poll(1, int(number % IN_A_ROW > 0)) for number in range(3 * IN_A_ROW)]
    assert details == [None] * (3 * IN_A_ROW)


@pytest.mark.parametrize(("errors", "problem"), [(50, False), (51, True)])
def test_more_than_half_of_the_last_records_is_a_problem(errors: int, *, problem: bool) -> None:
    scene = Scene()
    scene.add_poll(80, errors - 10)
    assert bool(scene.add_poll(20, 10)) is problem


def test_errors_long_ago_do_not_count() -> None:
    scene = Scene()
    scene.add_poll(100, 50)
    scene.add_poll(100)
    assert scene.add_poll(100, 50) is None


def test_large_poll_is_evaluated_alone() -> None:
    assert Scene().add_poll(2048, 1025) == "orders: total > '2': why (1,025 of the last 2,048 records)"
    assert Scene().add_poll(2048, 1024) is None


def test_detail_is_updated_with_each_error() -> None:
    scene = Scene()
    scene.fails()
    assert scene.add_poll(2, 1) == "orders: total > '2': why (21 of the last 22 records)"


def test_clean_records_in_a_row_end_the_problem() -> None:
    scene = Scene()
    scene.fails()
    details = [scene.add_poll(1) for _ in range(CLEAN_IN_A_ROW)]
    assert details == [None] * (CLEAN_IN_A_ROW - 1) + [""]
    assert not scene.watch.failing
    assert scene.add_poll(1) is None


def test_half_clean_records_do_not_end_the_problem() -> None:
    scene = Scene()
    scene.fails()
    assert all(scene.add_poll(2, number % 2) != "" for number in range(300))
    assert scene.watch.failing


def test_few_errors_among_many_records_end_the_problem() -> None:
    scene = Scene()
    scene.fails()
    assert scene.add_poll(1000, 100) == "orders: total > '2': why (100 of the last 1,000 records)"
    assert scene.add_poll(30) == ""


def test_problem_of_one_topic_is_not_ended_by_another() -> None:
    scene = Scene()
    scene.fails()
    assert [scene.add_poll(100, topic="refunds") for _ in range(9)] == [None] * 9
    scene.add_poll(IN_A_ROW, IN_A_ROW, "refunds")
    assert scene.add_poll(CLEAN_IN_A_ROW) is None
    assert scene.add_poll(CLEAN_IN_A_ROW, topic="refunds") == ""


def test_problem_goes_on_after_a_restart() -> None:
    scene = Scene()
    scene.fails()
    previous_detail = scene.add_poll(1, 1)
    again = Scene(previous_detail or "")
    assert again.watch.failing
    assert again.add_poll(1, 1) == "orders: total > '2': why (1 of the last 1 records)"
    assert again.add_poll(CLEAN_IN_A_ROW) == ""


@pytest.mark.parametrize(
    "previous_detail", ["", "orders: total: why (1 of the last 1 records)", "gone: a: why (1 of the last 1)"]
)
def test_problem_of_a_filter_that_is_gone_is_over(previous_detail: str) -> None:
    assert not Scene(previous_detail).watch.failing
