"""The two boards, and what becomes of what lies in Redis."""

from redis import Redis

from webhookd.edges.memory_coordination import MemoryCoordination
from webhookd.edges.redis_coordination import RedisCoordination

Board = MemoryCoordination | RedisCoordination


def lose_everything(url: str, prefix: str) -> None:
    """As after a FLUSHALL, for this test's keys."""
    with Redis.from_url(url) as client:
        for key in list(client.scan_iter(f"{prefix}*", count=1000)):
            client.delete(key)
