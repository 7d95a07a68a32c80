"""Builds the edges of a process from its settings: database, coordination store, change notifications and traces."""

from dataclasses import dataclass

from webhookd.edges.change_notifications import ChangeSubscriber
from webhookd.edges.memory_coordination import MemoryCoordination
from webhookd.edges.redis_coordination import RedisCoordination
from webhookd.edges.redis_settings import address_of
from webhookd.edges.tracing import STOP_S, Tracing, build_tracing
from webhookd.settings import Settings
from webhookd.store.database import Database
from webhookd.store.secret_keys import secret_keys_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Edges:
    """The edges that everything in one process shares. Nothing connects before its first use.

    `tracing` is None if no traces are sent.
    """

    database: Database
    coordination: RedisCoordination | MemoryCoordination
    notifications: ChangeSubscriber
    tracing: Tracing | None = None

    def ping_queue(self) -> None:
        """Check Redis through both libraries: redis-py, and kombu as Celery uses it. Raises QueueUnavailable."""
        self.coordination.ping()
        self.notifications.ping()

    def close(self) -> None:
        """Close every connection; the last spans are sent before, which may block for STOP_S."""
        self.stop_tracing()
        self.coordination.close()
        self.database.close()

    def stop_tracing(self) -> None:
        """Send the spans that have ended, and end no more; blocks for at most STOP_S. Later calls do nothing."""
        if self.tracing is not None:
            self.tracing.stop(STOP_S)


def build_edges(settings: Settings) -> Edges:
    """Return edges on Redis and Postgres, or on the process's memory and SQLite if the settings are embedded.

    Raises UnusableSetting.
    """
    return Edges(
        database=Database(settings.database_url, secret_keys=secret_keys_of(settings)),
        coordination=build_coordination(settings),
        notifications=ChangeSubscriber(address_of(settings), key_prefix=settings.redis_key_prefix),
        tracing=build_tracing(settings),
    )


def build_coordination(settings: Settings) -> RedisCoordination | MemoryCoordination:
    """Return the coordination store alone. Raises UnusableSetting."""
    redis = address_of(settings)
    return MemoryCoordination() if redis.embedded else RedisCoordination(redis, settings.redis_key_prefix)
