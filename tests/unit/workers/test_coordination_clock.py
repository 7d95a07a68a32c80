"""The board's clock between two looks at it, and while nobody can look. Time is the test's."""

from webhookd.errors import QueueUnavailable
from workers.coordination_clock import ASK_S, CoordinationClock


class Board:
    """A clock far ahead of ours that can be away; `takes_s` is what an answer takes, half of it each way."""

    def __init__(self) -> None:
        self.mono = 50.0
        self.ahead_s = 1_700_000_000.0
        self.takes_s = 0.0
        self.away = False
        self.asked = 0

    def time(self) -> float:
        self.asked += 1
        if self.away:
            raise QueueUnavailable("away")
        self.mono += self.takes_s / 2
        told = self.mono + self.ahead_s
        self.mono += self.takes_s / 2
        return told

    def monotonic(self) -> float:
        return self.mono


def test_clock_is_asked_now_and_then_and_counted_on_between() -> None:
    coordination = Board()
    clock = CoordinationClock(coordination.time, coordination.monotonic)
    told = []
    for _ in range(3):
        told.append(clock.now())
        coordination.mono += ASK_S / 2
    assert told == [1_700_000_050.0, 1_700_000_055.0, 1_700_000_060.0]
    assert coordination.asked == 2


def test_time_that_an_answer_takes_is_taken_into_account() -> None:
    coordination = Board()
    coordination.takes_s = 2.0
    assert (
        CoordinationClock(coordination.time, coordination.monotonic).now() == coordination.mono + coordination.ahead_s
    )


def test_clock_is_not_known_before_the_coordination_has_answered() -> None:
    coordination = Board()
    coordination.away = True
    clock = CoordinationClock(coordination.time, coordination.monotonic)
    assert (clock.now(), clock.now(), coordination.asked) == (None, None, 1)
    coordination.away = False
    coordination.mono += ASK_S
    assert clock.now() == coordination.mono + coordination.ahead_s


def test_clock_goes_on_while_the_coordination_is_away() -> None:
    coordination = Board()
    clock = CoordinationClock(coordination.time, coordination.monotonic)
    clock.now()
    coordination.away = True
    coordination.mono += 3 * ASK_S
    assert clock.now() == coordination.mono + coordination.ahead_s


def test_clock_that_was_set_is_noticed_at_the_next_look() -> None:
    coordination = Board()
    clock = CoordinationClock(coordination.time, coordination.monotonic)
    clock.now()
    coordination.ahead_s += 600.0
    coordination.mono += ASK_S
    assert clock.now() == coordination.mono + coordination.ahead_s
