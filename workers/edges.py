"""The edges a process works with, chosen in this one place by the settings."""

from dataclasses import dataclass

from webhookd.edges.announcements import Listener
from webhookd.edges.memory_board import MemoryBoard
from webhookd.edges.redis_board import RedisBoard
from webhookd.settings import Settings
from webhookd.store.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Edges:
    """Shared by all that runs in one process; nothing is connected before its first use."""

    database: Database
    board: RedisBoard | MemoryBoard
    announcements: Listener

    def close(self) -> None:
        """Close what is open."""
        self.board.close()
        self.database.close()


def build_edges(settings: Settings) -> Edges:
    """Redis and Postgres, or this process' memory and SQLite."""
    return Edges(
        database=Database(settings.database_url),
        board=MemoryBoard() if settings.embedded else RedisBoard(settings.redis_url, settings.redis_key_prefix),
        announcements=Listener(settings.redis_url, key_prefix=settings.redis_key_prefix),
    )
