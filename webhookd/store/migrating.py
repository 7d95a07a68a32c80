"""Upgrades the tables of a database. Several processes may do it at the same time: they take turns."""

from collections.abc import Callable
from dataclasses import dataclass

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from webhookd.errors import SchemaMismatch
from webhookd.store import schema
from webhookd.store.database import Database, unavailable_errors
from webhookd.store.engines import migration_engine

LOCK = 7_316_250_001
"""Postgres advisory lock of a transaction: two processes that migrate at the same moment take turns."""

LOCATION = "migrations:"
"""The folder of the package `migrations`, in Alembic's notation."""


@dataclass(frozen=True, slots=True)
class Migrated:
    """The revisions before and after; None is a database without tables."""

    before: str | None
    after: str | None

    def __str__(self) -> str:
        """Say what has happened, for people."""
        if self.before == self.after:
            return f"the database is at {self.after} already"
        if self.before is None:
            return f"created the tables, revision {self.after}"
        return f"migrated the database from {self.before} to {self.after}"


def upgrade(url: str, revision: str = "head") -> Migrated:
    """Apply every migration that is missing; all of them, or none if one fails.

    Raises StoreUnavailable when the database cannot be reached, SchemaMismatch when its revision is not known, and
    UnusableSetting. Once connected, it waits as long as the migrations need.
    """
    return _run(url, lambda config: command.upgrade(config, revision))


def downgrade(url: str, revision: str = "base") -> Migrated:
    """Undo migrations down to a revision; the data in the removed tables is lost. Raises as `upgrade` does."""
    return _run(url, lambda config: command.downgrade(config, revision))


def _run(url: str, migrate: Callable[[Config], None]) -> Migrated:
    _reach(url)
    engine = migration_engine(url)
    try:
        with unavailable_errors(), engine.begin() as connection:
            if connection.dialect.name == "postgresql":  # the transaction of SQLite is a lock itself
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
            before = schema.revision(connection)
            if not schema.is_known(before):
                raise SchemaMismatch(schema.mismatch(before))
            migrate(_config(connection))
            return Migrated(before, schema.revision(connection))
    finally:
        engine.dispose()


def _reach(url: str) -> None:
    """Raises StoreUnavailable in time; the migrations' own connection waits for answers without a bound."""
    database = Database(url)
    try:
        database.ping()
    finally:
        database.close()


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", LOCATION)
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
