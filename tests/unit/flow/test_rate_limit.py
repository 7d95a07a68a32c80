"""The bucket of a caller. Oracle: the table in the module, and a count over every window."""

import pytest

from webhookd.flow.access.rate_limit import MINUTE_S, Rate, take

SIX = Rate(name="key", requests=6)


def taken(rate: Rate, times: list[float], full_at: float = 0.0) -> list[bool]:
    answers = []
    for now in times:
        full_at, answer = take(rate, full_at, now)
        answers.append(answer.allowed)
    return answers


def test_as_many_as_the_limit_are_allowed_at_once_and_no_more() -> None:
    assert taken(SIX, [100.0] * 8) == [True] * 6 + [False] * 2


def test_one_comes_back_in_each_interval() -> None:
    assert taken(SIX, [100.0] * 6 + [109.9, 110.0, 110.1, 120.0]) == [True] * 6 + [False, True, False, True]


@pytest.mark.parametrize("requests", [1, 7, 60, 600, 999_983])
def test_steady_requests_at_the_rate_are_never_refused(requests: int) -> None:
    rate = Rate(name="key", requests=requests)
    assert all(taken(rate, [1e9 + number * rate.interval_s for number in range(200)]))


def test_answer_says_what_is_left_and_when_to_come_back() -> None:
    full_at, first = take(SIX, 0.0, 100.0)
    assert (first.allowed, first.remaining, first.full_in_s, first.retry_after_s) == (True, 5, 10.0, 0.0)
    for _ in range(5):
        full_at, last = take(SIX, full_at, 100.0)
    assert (last.remaining, last.full_in_s) == (0, 60.0)
    full_at, refused = take(SIX, full_at, 104.0)
    assert (refused.allowed, refused.remaining, refused.full_in_s) == (False, 0, 56.0)
    assert refused.retry_after_s == pytest.approx(6.0)
    assert take(SIX, full_at, 104.0 + refused.retry_after_s)[1].allowed


def test_refused_request_takes_nothing() -> None:
    full_at, _ = take(SIX, 160.0, 100.0)
    assert full_at == 160.0


def test_time_far_ahead_counts_as_one_window() -> None:
    full_at, answer = take(SIX, 1e12, 100.0)
    assert (answer.allowed, full_at) == (False, 100.0 + MINUTE_S)
