"""When a failed batch is tried again, and when a lane with an open circuit is probed.

    algorithm             wait before retry n (n = 1, 2, …), before jitter
    exponential_backoff   5 s × 2ⁿ⁻¹, at most 900 s:   5, 10, 20, 40, 80, 160, 320, 640, 900, 900
    fixed_time            30 s

A jitter of ±20 % spreads the retries of many failing lanes. The wait is at least that of `Retry-After` (RFC 9110
§10.2.3), of which at most an hour counts.
"""

from webhookd.flow.subscription import RetryAlgorithm

FIRST_WAIT_S = 5.0
LONGEST_WAIT_S = 900.0
FIXED_WAIT_S = 30.0
JITTER = 0.2
LONGEST_RETRY_AFTER_S = 3600.0
"""The visibility timeout of the tasks must be longer (workers/celery_app.py)."""

FIRST_PROBE_S = 30.0


def wait_s(algorithm: RetryAlgorithm, failures: int, chance: float) -> float:
    """Seconds to wait after the n-th failure in a row, n being `failures`; `chance` is a random number in [0, 1)."""
    if algorithm is RetryAlgorithm.FIXED_TIME:
        base = FIXED_WAIT_S
    else:
        base = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** (failures - 1))
    return base * (1 + JITTER * (2 * chance - 1))


def probe_wait_s(failed_probes: int, chance: float) -> float:
    """Seconds until a lane with an open circuit is probed: 30 s, doubling to 15 min, with the same jitter."""
    base = min(LONGEST_WAIT_S, FIRST_PROBE_S * 2.0 ** min(failed_probes, 10))
    return base * (1 + JITTER * (2 * chance - 1))
