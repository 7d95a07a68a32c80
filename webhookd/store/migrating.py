"""Migrates the tables of a database, forwards and backwards. Several processes at the same time take turns.

A migration is one transaction: all of it happens, or nothing. What changes a table waits for every transaction that
uses the table, and meanwhile every other statement on the table waits behind it. So on Postgres each wait for a lock
has a bound, after which the migration gives up: one long query must not stop all others.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from alembic import command
from alembic.config import Config
from psycopg2.errors import LockNotAvailable
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from webhookd.errors import InvalidInput, SchemaMismatch, StoreUnavailable
from webhookd.store import schema
from webhookd.store.database import Database, unavailable_errors
from webhookd.store.engines import migration_engine
from webhookd.store.schema import REVISION
from webhookd.store.secret_keys import NONE, SecretKeys

LOCK = 7_316_250_001
"""Postgres advisory lock of a transaction: two processes that migrate at the same moment take turns."""

LOCK_TIMEOUT_S = 5.0
"""How long a migration waits for each lock of a table on Postgres. On SQLite it waits SQLITE_LOCK_S for the file."""

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


def upgrade(url: str, revision: str = REVISION) -> Migrated:
    """Apply every migration up to a revision that is missing; all of them, or none if one fails.

    Raises StoreUnavailable when the database cannot be reached or a table stays locked, SchemaMismatch when its
    revision is not known, and UnusableSetting. Once it has the locks, it waits as long as the migrations need.
    """
    return _run(url, lambda config, _: command.upgrade(config, revision))


def downgrade(url: str, revision: str = "base", secret_keys: SecretKeys = NONE) -> Migrated:
    """Undo migrations down to a revision; the data in the removed tables is lost.

    Raises as `upgrade` does, and SecretsUnreadable when an earlier revision needs a secret that no key decrypts.
    """
    return _run(url, lambda config, _: command.downgrade(config, revision), secret_keys=secret_keys)


def migrate(
    url: str,
    revision: str = REVISION,
    *,
    delete_data: bool = False,
    lock_timeout_s: float = LOCK_TIMEOUT_S,
    secret_keys: SecretKeys = NONE,
) -> Migrated:
    """Bring the database to a revision, forwards or backwards.

    Raises as `downgrade` does, and InvalidInput when the database is at a later revision and `delete_data` is not set.
    """

    def move(config: Config, before: str | None) -> None:
        if before is None or before <= revision:
            command.upgrade(config, revision)
        elif delete_data:
            command.downgrade(config, revision)
        else:
            raise InvalidInput(
                f"the database is at {before}: going back to {revision} deletes the tables and columns that later "
                "revisions have added, with their data; make a backup, then add --delete-data"
            )

    return _run(url, move, lock_timeout_s, secret_keys)


def _run(
    url: str,
    move: Callable[[Config, str | None], None],
    lock_timeout_s: float = LOCK_TIMEOUT_S,
    secret_keys: SecretKeys = NONE,
) -> Migrated:
    _reach(url)
    engine = migration_engine(url)
    try:
        with unavailable_errors(), _in_use(lock_timeout_s), engine.begin() as connection:
            if connection.dialect.name == "postgresql":  # the transaction of SQLite is a lock itself
                _take_turns(connection, lock_timeout_s)
            before = schema.revision(connection)
            if not schema.is_known(before):
                raise SchemaMismatch(schema.mismatch(before))
            config = _config(connection)
            config.attributes["secret_keys"] = secret_keys
            move(config, before)
            return Migrated(before, schema.revision(connection))
    finally:
        engine.dispose()


def _take_turns(connection: Connection, lock_timeout_s: float) -> None:
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
    # Only now: another migration may take longer.
    connection.execute(text(f"SET LOCAL lock_timeout = {int(1000 * lock_timeout_s)}"))


@contextmanager
def _in_use(lock_timeout_s: float) -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        if not isinstance(error.orig, LockNotAvailable):
            raise
        raise StoreUnavailable(
            f"another transaction uses a table for more than {lock_timeout_s:g} s; nothing was changed. Stop the "
            "processes of webhookd, end that transaction, and run it again"
        ) from error


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
