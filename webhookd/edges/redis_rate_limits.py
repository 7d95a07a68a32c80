"""Rate limits in Redis, which all API processes share; and what happens while Redis does not answer.

One request to the API costs one round trip, with commands that the ACL rule of the guide already has. The library
`limits` needs two, more commands, and a redis-py older than 8; its twin in memory starts a thread for each request.
"""

from threading import Lock
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from webhookd import clock, logs
from webhookd.clock import Monotonic
from webhookd.edges.memory_rate_limits import MemoryRateLimits
from webhookd.edges.redis_address import RedisAddress
from webhookd.edges.redis_failures import detail_of
from webhookd.edges.redis_primary import NotPrimary, primary_pool
from webhookd.errors import QueueUnavailable
from webhookd.flow.access.rate_limit import Allowance, Rate, allowance
from webhookd.metrics.service_calls import REDIS, measured

TIMEOUT_S: Final = 0.25
"""Of connecting, and of each reply. Every request to the API waits for this."""

AGAIN_S: Final = 5.0
"""While Redis does not answer, one request of the process tries it in this interval; the others do not wait."""

# As flow/access/rate_limit.py `take`, in microseconds of Redis' clock, which all API processes share.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local full_at = math.min(math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now), now + window)
local after = full_at + interval
if after - now > window + 1 then
  return {0, string.format('%.0f', full_at - now)}
end
redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', math.max(1, math.ceil((after - now) / 1000)))
return {1, string.format('%.0f', after - now)}
"""

_log = logs.get(__name__)


class RedisRateLimits:
    """One key for each subject whose bucket is not full; any thread."""

    def __init__(self, address: RedisAddress, prefix: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self._pool = primary_pool(
            address,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            socket_keepalive=True,
            # A connection that was closed meanwhile is opened again. A reply that does not come is not awaited again.
            retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        )
        self._prefix = f"{prefix}rate:"
        self._take = redis.Redis.from_pool(self._pool).register_script(_TAKE)

    @measured(REDIS, "rate_limit")
    def take(self, subject: str, rate: Rate) -> Allowance:
        """Count one request of this subject. Raises QueueUnavailable within a second, or a few with dead Sentinels."""
        try:
            answer: Any = self._take(
                keys=[self._prefix + subject], args=[int(rate.interval_s * 1e6), int(rate.window_s * 1e6)]
            )
        except redis.RedisError as error:
            if isinstance(error, NotPrimary):
                self._pool.drop()
            raise QueueUnavailable(detail_of(error)) from error
        allowed, full_in_us = answer
        return allowance(rate, int(full_in_us) / 1e6, allowed=bool(allowed))

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()


class RateLimitsWithoutOutage:
    """Rate limits that never fail: in Redis, or in memory while Redis does not answer; any thread.

    In memory each process counts by itself, so that a caller may make as many times more requests as there are
    processes. Nothing is carried over in either direction.
    """

    def __init__(
        self, shared: RedisRateLimits, memory: MemoryRateLimits, monotonic: Monotonic = clock.monotonic
    ) -> None:
        self._shared = shared
        self._memory = memory
        self._monotonic = monotonic
        self._lock = Lock()
        self._outage = False
        self._try_at = 0.0

    def take(self, subject: str, rate: Rate) -> Allowance:
        """Count one request of this subject."""
        if not self._may_try():
            return self._memory.take(subject, rate)
        try:
            answer = self._shared.take(subject, rate)
        except QueueUnavailable as error:
            self._failed(error)
            return self._memory.take(subject, rate)
        self._answered()
        return answer

    def close(self) -> None:
        """Close every connection."""
        self._shared.close()

    def _may_try(self) -> bool:
        with self._lock:
            now = self._monotonic()
            if self._outage and now < self._try_at:
                return False
            self._try_at = now + AGAIN_S
            return True

    def _failed(self, error: QueueUnavailable) -> None:
        with self._lock:
            first, self._outage = not self._outage, True
            self._try_at = self._monotonic() + AGAIN_S
        if first:
            _log.warning("rate_limits_in_memory", code=error.code, detail=error.detail)

    def _answered(self) -> None:
        with self._lock:
            over, self._outage = self._outage, False
        if over:
            _log.info("rate_limits_shared")
