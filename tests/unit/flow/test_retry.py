"""When a failed batch is tried again: worked values and jitter."""

import pytest

from tests.harness.lanes import MIDDLE
from webhookd.flow.attempt.retry import LONGEST_RETRY_AFTER_S, probe_wait_s, wait_s
from webhookd.flow.subscription import RetryAlgorithm
from workers.celery_app import VISIBILITY_TIMEOUT_S

EXPONENTIAL = RetryAlgorithm.EXPONENTIAL_BACKOFF
FIXED = RetryAlgorithm.FIXED_TIME
ALMOST_ONE = 1 - 1e-12


def test_exponential_doubles_up_to_a_quarter_hour() -> None:
    waits = [wait_s(EXPONENTIAL, failures, MIDDLE) for failures in range(1, 11)]
    assert waits == [5, 10, 20, 40, 80, 160, 320, 640, 900, 900]


def test_fixed_time_stays_at_30_s() -> None:
    assert [wait_s(FIXED, failures, MIDDLE) for failures in range(1, 5)] == [30] * 4


@pytest.mark.parametrize(("algorithm", "base_s"), [(EXPONENTIAL, 5.0), (FIXED, 30.0)])
def test_jitter_stays_within_a_fifth(algorithm: RetryAlgorithm, base_s: float) -> None:
    assert wait_s(algorithm, 1, 0.0) == pytest.approx(0.8 * base_s)
    assert wait_s(algorithm, 1, ALMOST_ONE) == pytest.approx(1.2 * base_s)


def test_longest_wait_fits_the_visibility_timeout() -> None:
    assert max(LONGEST_RETRY_AFTER_S, wait_s(EXPONENTIAL, 10, ALMOST_ONE)) + 60.0 < VISIBILITY_TIMEOUT_S


def test_probes_double_up_to_a_quarter_hour() -> None:
    assert [probe_wait_s(failed, MIDDLE) for failed in (0, 1, 2, 3, 4, 5, 1000)] == [30, 60, 120, 240, 480, 900, 900]


def test_probes_have_the_same_jitter() -> None:
    assert probe_wait_s(0, 0.0) == pytest.approx(24.0)
    assert probe_wait_s(0, ALMOST_ONE) == pytest.approx(36.0)
