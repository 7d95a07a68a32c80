"""Which stalls have lasted too long. Oracle: the table in subscription_stall.py; the clock is the test's."""

from webhookd.flow.monitoring.subscription_stall import (
    NOT_ASSIGNED,
    POSITION_UNKNOWN,
    TOLERATED_S,
    Stall,
    StallDetector,
)

LANE = Stall(POSITION_UNKNOWN, "orders/0", "timed out")
OTHER = Stall(POSITION_UNKNOWN, "orders/1")
BOUND_S = TOLERATED_S[POSITION_UNKNOWN]


def test_short_stall_is_tolerated() -> None:
    at = StallDetector()
    at.check([LANE], 0.0)
    assert POSITION_UNKNOWN not in at.check([LANE], BOUND_S - 1.0)


def test_lasting_stall_names_its_subject() -> None:
    at = StallDetector()
    at.check([LANE], 0.0)
    assert at.check([LANE, OTHER], BOUND_S)[POSITION_UNKNOWN] == "orders/0: timed out"


def test_stall_that_begins_again_is_timed_anew() -> None:
    at = StallDetector()
    at.check([LANE], 0.0)
    over = at.check([], 30.0)
    at.check([LANE], 31.0)
    assert (over[POSITION_UNKNOWN], POSITION_UNKNOWN in at.check([LANE], BOUND_S)) == (None, False)


def test_one_subject_after_the_other_is_tolerated() -> None:
    at = StallDetector()
    at.check([LANE], 0.0)
    assert POSITION_UNKNOWN not in at.check([OTHER], BOUND_S)


def test_other_codes_are_over_at_once() -> None:
    assert StallDetector().check([LANE], 0.0)[NOT_ASSIGNED] is None


def test_many_subjects_are_counted() -> None:
    at = StallDetector()
    lanes = [Stall(POSITION_UNKNOWN, f"orders/{number}") for number in range(7)]
    at.check(lanes, 0.0)
    assert at.check(lanes, BOUND_S)[POSITION_UNKNOWN] == "orders/0, orders/1, orders/2, orders/3, orders/4 and 2 more"
