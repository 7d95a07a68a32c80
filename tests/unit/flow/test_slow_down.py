"""Additive increase, multiplicative decrease: the rate after 429 and 503. The test moves the clock."""

from math import inf

import pytest

from webhookd.flow.dispatch.slow_down import (
    DOUBLING_S,
    EPISODE_S,
    FORGET_S,
    LEAST_INCREASE_PER_S,
    SLOWEST_PER_S,
    STEADY_S,
    SlowDown,
)


def measured(per_second: int, until: float = 10.0) -> SlowDown:
    """A subscription whose endpoint has acknowledged so many requests a second until then."""
    made = SlowDown()
    for second in range(int(until)):
        made.acknowledged(per_second, float(second))
    return made


def test_nothing_is_limited_before_the_endpoint_asks() -> None:
    assert measured(100).rate(10.0) == inf


def test_decrease_halves_what_was_acknowledged() -> None:
    slow = measured(100)
    slow.begin(10.0)
    assert slow.rate(10.0) == pytest.approx(50.0)


def test_rate_grows_by_a_twentieth_each_second() -> None:
    slow = measured(100)
    slow.begin(10.0)
    assert [slow.rate(10.0 + seconds) for seconds in (1, 2, 10)] == pytest.approx([55.0, 60.0, 100.0])


def test_answers_of_one_episode_decrease_once() -> None:
    slow = measured(100)
    slow.begin(10.0)
    slow.begin(10.0 + EPISODE_S / 2)
    assert slow.rate(10.0) == pytest.approx(50.0)


def test_next_decrease_halves_the_limit() -> None:
    slow = measured(100)
    slow.begin(10.0)
    for second in range(10, 15):
        slow.acknowledged(1000, float(second))
    slow.begin(14.0)
    assert slow.rate(14.0) == pytest.approx(35.0)


def test_next_decrease_goes_by_what_arrived_if_that_is_less() -> None:
    slow = measured(100)
    slow.begin(10.0)
    for second in range(10, 15):
        slow.acknowledged(20, float(second))
    slow.begin(14.9)
    assert slow.rate(14.9) == pytest.approx(10.0, rel=0.1)


def test_rate_never_falls_below_the_slowest() -> None:
    slow = SlowDown()
    for times in range(5):
        slow.begin(times * 10.0)
    assert slow.rate(40.0) == SLOWEST_PER_S


def test_low_rate_grows_by_the_least_step() -> None:
    slow = SlowDown()
    slow.begin(0.0)
    assert slow.rate(10.0) == pytest.approx(SLOWEST_PER_S + 10 * LEAST_INCREASE_PER_S)


def test_rate_doubles_when_the_endpoint_has_not_asked_for_long() -> None:
    slow = SlowDown()
    slow.begin(0.0)
    slow.needed(STEADY_S + 2 * DOUBLING_S)
    steady = slow.rate(STEADY_S - 0.001)
    later = [slow.rate(STEADY_S + times * DOUBLING_S) for times in (0, 1, 2)]
    assert [steady, *later] == pytest.approx([121.0, 121.0, 242.0, 484.0], rel=0.001)


def test_limit_ends_when_it_was_not_needed_for_a_minute() -> None:
    slow = measured(100)
    slow.begin(10.0)
    slow.needed(30.0)
    assert slow.rate(30.0 + FORGET_S - 0.1) < inf
    assert slow.rate(30.0 + FORGET_S) == inf


def test_limit_that_was_never_needed_ends_a_minute_after_the_decrease() -> None:
    slow = measured(100)
    slow.begin(10.0)
    assert (slow.rate(10.0 + FORGET_S - 0.1) < inf, slow.rate(10.0 + FORGET_S)) == (True, inf)


def test_retry_after_stops_dispatching_and_the_rate_grows_from_then_on() -> None:
    slow = measured(100)
    slow.begin(10.0, 30.0)
    assert (slow.not_before, slow.rate(39.0), slow.rate(42.0)) == pytest.approx((40.0, 50.0, 60.0))


def test_longest_retry_after_counts() -> None:
    slow = SlowDown()
    slow.begin(0.0, 30.0)
    slow.begin(1.0, 2.0)
    assert slow.not_before == 30.0


def test_rate_settles_below_what_the_endpoint_takes() -> None:
    takes, slow, now, sent = 40.0, measured(500), 10.0, []
    slow.begin(now)
    for _ in range(600):
        now += 0.1
        per_second = slow.rate(now)
        slow.acknowledged(round(min(per_second, takes) / 10), now)
        if per_second > takes:
            slow.begin(now)
        sent.append(per_second)
    assert min(sent[200:]) > takes / 4
    assert sum(sent[200:]) / len(sent[200:]) == pytest.approx(0.75 * takes, rel=0.2)


@pytest.mark.parametrize(("acknowledged", "slowed"), [(0, True), (9, True), (10, False), (1000, False)])
def test_503_slows_down_when_a_tenth_of_the_requests_get_one(acknowledged: int, *, slowed: bool) -> None:
    slow = SlowDown()
    slow.acknowledged(acknowledged, 10.0)
    slow.answered_503(10.5)
    assert (slow.rate(10.5) < inf) == slowed


def test_503_of_the_second_before_counts_and_of_earlier_ones_not() -> None:
    slow = SlowDown()
    slow.acknowledged(30, 10.0)
    for at in (10.1, 10.2, 11.1):
        slow.answered_503(at)
    assert slow.rate(11.1) == inf
    slow.answered_503(11.2)
    assert slow.rate(11.2) < inf
    later = SlowDown()
    later.acknowledged(30, 10.0)
    later.answered_503(12.5)
    assert later.rate(12.5) < inf
