"""What is left to publish, and when it is due. Nothing is doubled."""

from collections.abc import Iterator
from itertools import count, islice

from webhookd_load_test.records.csv_file import Row
from webhookd_load_test.records.generate import Record
from webhookd_load_test.records.pending_rows import Schedule, pending_rows

S = 1_000_000_000


def rows(number: int) -> Iterator[Row]:
    return (Row(one + 2, Record("orders", b"{}", None, one)) for one in range(number))


def schedule(*, begin_ns: int | None = None, last: int = -1, speed: float = 1.0) -> Schedule:
    return Schedule(started_ns=100 * S, begin_ns=begin_ns, last_acknowledged=last, speed=speed)


def test_all_rows_are_pending_at_first() -> None:
    assert [(row.number, row.line) for row in pending_rows(rows(3), iter(()))] == [(0, 2), (1, 3), (2, 4)]


def test_acknowledged_rows_are_not_published_again() -> None:
    assert [row.number for row in pending_rows(rows(6), iter((0, 1, 4)))] == [2, 3, 5]


def test_rows_are_read_as_they_are_published() -> None:
    endless = (Row(one, Record("orders", b"{}", None, one)) for one in count())
    assert [row.number for row in islice(pending_rows(endless, iter((0,))), 2)] == [1, 2]


def test_load_begins_with_the_run() -> None:
    times = schedule()
    assert [times.due_ns(number, 1000 * number) for number in (0, 2)] == [100 * S, 102 * S]


def test_load_begins_when_it_is_told() -> None:
    assert schedule(begin_ns=90 * S).due_ns(0, 1500) == 91 * S + S // 2


def test_speed_divides_the_times() -> None:
    assert schedule(speed=4.0).due_ns(0, 2000) == 100 * S + S // 2


def test_run_that_goes_on_begins_with_the_row_behind_the_last_acknowledged_one() -> None:
    times = schedule(last=5)
    assert [times.due_ns(3, 50_000), times.due_ns(6, 60_000), times.due_ns(7, 61_000)] == [100 * S, 100 * S, 101 * S]


def test_run_that_goes_on_keeps_the_begin_that_it_is_told() -> None:
    assert schedule(begin_ns=90 * S, last=5).due_ns(6, 12_000) == 102 * S
