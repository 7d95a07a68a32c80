"""Successes are combined into one row a flush; failures keep a row each."""

from webhookd.flow.attempt.attempt_report import LoggedExchange
from webhookd.flow.status.activity_rollup import MAX_FAILURE_ROWS, ActivityRollup, CallRollup


def exchange(name: str) -> LoggedExchange:
    return LoggedExchange(1.0, name, 200)


def test_no_calls_give_no_rows() -> None:
    assert ActivityRollup().flush() == []


def test_successes_are_combined_into_the_last() -> None:
    fold = ActivityRollup()
    fold.succeeded(3, exchange("a"))
    fold.succeeded(4, exchange("b"))
    assert fold.flush() == [CallRollup(exchange("b"), 7, succeeded=True)]


def test_each_failure_keeps_its_row() -> None:
    fold = ActivityRollup()
    fold.failed(exchange("a"))
    fold.succeeded(1, exchange("b"))
    fold.failed(exchange("c"))
    assert [(call.exchange.webhook_id, call.succeeded) for call in fold.flush()] == [
        ("a", False),
        ("c", False),
        ("b", True),
    ]


def test_flush_starts_at_zero() -> None:
    fold = ActivityRollup()
    fold.succeeded(1, exchange("a"))
    fold.failed(exchange("b"))
    fold.flush()
    assert fold.flush() == []


def test_successes_wait_for_an_example() -> None:
    fold = ActivityRollup()
    fold.succeeded(5, None)
    assert fold.flush() == []
    fold.succeeded(1, exchange("a"))
    assert fold.flush() == [CallRollup(exchange("a"), 6, succeeded=True)]


def test_failures_above_the_bound_are_counted() -> None:
    fold = ActivityRollup()
    for number in range(MAX_FAILURE_ROWS + 10):
        fold.failed(exchange(str(number)))
    calls = fold.flush()
    assert (len(calls), sum(call.calls for call in calls)) == (MAX_FAILURE_ROWS, MAX_FAILURE_ROWS + 10)
    assert calls[-1] == CallRollup(exchange(str(MAX_FAILURE_ROWS + 9)), 11, succeeded=False)
