"""The edges a process works with, chosen in this one place by the settings."""

from dataclasses import dataclass

from webhookd.edges.change_notifications import ChangeSubscriber
from webhookd.edges.memory_coordination import MemoryCoordination
from webhookd.edges.redis_coordination import RedisCoordination
from webhookd.settings import Settings
from webhookd.store.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Edges:
    """Shared by all that runs in one process; nothing is connected before its first use."""

    database: Database
    coordination: RedisCoordination | MemoryCoordination
    notifications: ChangeSubscriber

    def close(self) -> None:
        """Close what is open."""
        self.coordination.close()
        self.database.close()


def build_edges(settings: Settings) -> Edges:
    """Redis and Postgres, or this process' memory and SQLite."""
    return Edges(
        database=Database(settings.database_url),
        coordination=MemoryCoordination()
        if settings.embedded
        else RedisCoordination(settings.redis_url, settings.redis_key_prefix),
        notifications=ChangeSubscriber(settings.redis_url, key_prefix=settings.redis_key_prefix),
    )
