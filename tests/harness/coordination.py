"""The type of both coordination stores, and how a test deletes all keys in Redis."""

from redis import Redis

from webhookd.edges.memory_coordination import MemoryCoordination
from webhookd.edges.redis_coordination import RedisCoordination

CoordinationStore = MemoryCoordination | RedisCoordination


def lose_everything(url: str, prefix: str) -> None:
    """Delete all keys of this test, as FLUSHALL would."""
    with Redis.from_url(url) as client:
        for key in list(client.scan_iter(f"{prefix}*", count=1000)):
            client.delete(key)
