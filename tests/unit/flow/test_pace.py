"""How many batches a delivery carries: quick to fall, bounded in growing."""

from webhookd.flow.pace import Pace

TARGET_S = 0.25


def test_first_delivery_is_a_guess() -> None:
    assert Pace(TARGET_S).batches() == 8


def test_steady_endpoint_gets_the_target_time() -> None:
    pace = Pace(TARGET_S)
    for _ in range(10):
        pace.measured(pace.batches(), pace.batches() / 1000)
    assert pace.batches() == 250


def test_growth_is_bounded() -> None:
    pace = Pace(TARGET_S)
    pace.measured(8, 1e-6)
    assert pace.batches() == 64


def test_sudden_slowness_shows_at_once() -> None:
    pace = Pace(TARGET_S)
    pace.measured(8, 8.0)
    assert pace.batches() == 1


def test_small_slowness_is_smoothed() -> None:
    pace = Pace(TARGET_S)
    pace.measured(8, 0.5)
    assert pace.batches() == 6


def test_few_batches_prove_no_growth() -> None:
    pace = Pace(TARGET_S)
    pace.measured(3, 1e-3)
    assert pace.batches() == 8


def test_slowest_endpoint_still_gets_one() -> None:
    pace = Pace(TARGET_S)
    pace.measured(1, 3600.0)
    assert pace.batches() == 1


def test_slow_lane_recovers() -> None:
    pace = Pace(TARGET_S)
    pace.measured(8, 80.0)
    for _ in range(10):
        pace.measured(pace.batches(), pace.batches() / 1000)
    assert pace.batches() == 250


def test_measurements_of_nothing_are_ignored() -> None:
    pace = Pace(TARGET_S)
    pace.measured(0, 1.0)
    pace.measured(5, 0.0)
    assert pace.batches() == 8
