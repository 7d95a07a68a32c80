"""Contract of the rate limits, in memory and in Redis; and what happens while Redis does not answer.

Oracles: the numbers of flow/access/rate_limit.py; a real Redis, under a key prefix of the test's own. Redis' clock
cannot be moved, so the limits are such that nothing comes back during a test, or within milliseconds.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis
from structlog.testing import capture_logs

from tests.harness.coordination import lose_everything
from tests.harness.services import required_service
from tests.harness.silent_server import SilentServer
from webhookd import clock
from webhookd.edges.memory_rate_limits import MemoryRateLimits
from webhookd.edges.redis_rate_limits import AGAIN_S, RateLimitsWithoutOutage, RedisRateLimits
from webhookd.edges.redis_url import parse
from webhookd.errors import QueueUnavailable
from webhookd.flow.access.rate_limit import Allowance, Rate

SLOW = Rate(name="key", requests=7, window_s=3600.0)
FAST = Rate(name="key", requests=5, window_s=0.05)
PATIENCE_S = 5.0

Limits = MemoryRateLimits | RedisRateLimits


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
def limits(request: pytest.FixtureRequest, prefix: str) -> Iterator[Limits]:
    """Rate limits under which nobody was counted: in memory, then in Redis."""
    if request.param == "memory":
        yield MemoryRateLimits()
        return
    url = required_service("redis")
    made = RedisRateLimits(parse(url), prefix, timeout_s=PATIENCE_S)
    yield made
    made.close()
    lose_everything(url, prefix)


def until_allowed(take: Callable[[], bool]) -> bool:
    ends_at = clock.monotonic() + PATIENCE_S
    while not take():
        if clock.monotonic() > ends_at:
            return False
    return True


def test_as_many_as_the_limit_are_allowed_and_the_rest_told_when(limits: Limits) -> None:
    answers = [limits.take("a", SLOW) for _ in range(9)]
    assert [answer.allowed for answer in answers] == [True] * 7 + [False] * 2
    assert [answer.remaining for answer in answers] == [6, 5, 4, 3, 2, 1, 0, 0, 0]
    assert answers[0].full_in_s == pytest.approx(SLOW.interval_s, abs=PATIENCE_S)
    assert answers[6].full_in_s == pytest.approx(SLOW.window_s, abs=PATIENCE_S)
    assert answers[8].retry_after_s == pytest.approx(SLOW.interval_s, abs=PATIENCE_S)


def test_subjects_are_counted_apart(limits: Limits) -> None:
    for _ in range(8):
        limits.take("a", SLOW)
    assert limits.take("b", SLOW).allowed


def test_requests_come_back(limits: Limits) -> None:
    while limits.take("a", FAST).allowed:
        pass
    assert until_allowed(lambda: limits.take("a", FAST).allowed)


def test_threads_together_get_no_more_than_the_limit(limits: Limits) -> None:
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: limits.take("a", SLOW).allowed, range(40)))
    assert answers.count(True) == 7


def test_lower_limit_applies_at_once(limits: Limits) -> None:
    for _ in range(7):
        limits.take("a", SLOW)
    shorter = limits.take("a", Rate(name="key", requests=6, window_s=60.0))
    assert (shorter.allowed, round(shorter.full_in_s)) == (False, 60)


def test_memory_keeps_the_emptiest_buckets() -> None:
    limits = MemoryRateLimits(lambda: 0.0, most_subjects=10)
    for _ in range(8):
        limits.take("greedy", SLOW)
    for number in range(100):
        limits.take(f"address {number}", SLOW)
    assert not limits.take("greedy", SLOW).allowed
    assert len(limits._full_at) <= 10


@pytest.mark.redis
def test_two_processes_share_a_limit_and_the_key_expires(redis_url: str, prefix: str) -> None:
    one, other = (RedisRateLimits(parse(redis_url), prefix, timeout_s=PATIENCE_S) for _ in range(2))
    assert [limits.take("a", SLOW).remaining for limits in (one, other, one)] == [6, 5, 4]
    with Redis.from_url(redis_url) as client:
        assert 0 < client.pttl(f"{prefix}rate:a") <= SLOW.window_s * 1000
    one.close()
    other.close()
    lose_everything(redis_url, prefix)


class Switched(RedisRateLimits):
    """Limits in a Redis that is down when the test says so; `asked` counts the calls."""

    down = False
    asked = 0

    def take(self, subject: str, rate: Rate) -> Allowance:
        """Count one request, unless it is down."""
        self.asked += 1
        if self.down:
            raise QueueUnavailable("down")
        return super().take(subject, rate)


@pytest.mark.redis
def test_outage_is_counted_in_memory_said_once_and_ended(redis_url: str, prefix: str) -> None:
    now = 100.0
    shared = Switched(parse(redis_url), prefix, timeout_s=PATIENCE_S)
    limits = RateLimitsWithoutOutage(shared, MemoryRateLimits(), lambda: now)
    for _ in range(3):
        limits.take("a", SLOW)
    shared.down = True
    with capture_logs() as logs:
        in_memory = [limits.take("a", SLOW).remaining for _ in range(4)]
        assert (in_memory, shared.asked) == ([6, 5, 4, 3], 4)
        now += AGAIN_S
        limits.take("a", SLOW)
        limits.take("a", SLOW)
        assert shared.asked == 5
        shared.down = False
        now += AGAIN_S
        assert limits.take("a", SLOW).remaining == 3
    assert [line["event"] for line in logs] == ["rate_limits_in_memory", "rate_limits_shared"]
    limits.close()
    lose_everything(redis_url, prefix)


def test_redis_that_hangs_delays_one_request_in_a_while() -> None:
    with SilentServer() as server:
        shared = Switched(parse(f"redis://127.0.0.1:{server.port}/0"), "x:")
        limits = RateLimitsWithoutOutage(shared, MemoryRateLimits(), lambda: 100.0)
        started_at = clock.monotonic()
        assert limits.take("a", SLOW).allowed
        # Far below the timeouts of redis-py (5 s) and of clients: only that it is bounded is asserted.
        assert clock.monotonic() - started_at < PATIENCE_S / 2
        assert [limits.take("a", SLOW).allowed for _ in range(10)].count(False) == 4
        assert shared.asked == 1
        limits.close()
