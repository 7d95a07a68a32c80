"""Which revision of the schema the database has, and whether this version of webhookd can work with it."""

from sqlalchemy import Connection, inspect, text

from webhookd.errors import SchemaMismatch, StoreUnavailable
from webhookd.store.database import Database

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007")
"""Every revision that this version can migrate from and to: those in migrations/versions."""

REVISION = REVISIONS[-1]
"""The revision that this version needs."""


def confirm(database: Database) -> None:
    """Raises SchemaMismatch unless the database has the needed revision, and StoreUnavailable. Blocks."""
    with database.transaction() as session:
        found = revision(session.connection())
    if found != REVISION:
        raise SchemaMismatch(mismatch(found))


def check(database: Database) -> None:
    """Raises StoreUnavailable when the database does not answer, and also when it has another schema. Blocks."""
    try:
        confirm(database)
    except SchemaMismatch as error:
        raise StoreUnavailable(error.detail) from error


def revision(connection: Connection) -> str | None:
    """The revision of the tables; None when webhookd has no tables in this database."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return ", ".join(connection.scalars(text("SELECT version_num FROM alembic_version"))) or None


def mismatch(found: str | None) -> str:
    """The error text for the operator: both revisions, and what to do."""
    if found is None:
        return f"the database has no tables of webhookd (revision {REVISION} is needed); run: webhookd migrate"
    if is_known(found):
        return f"the database is at revision {found}, this version needs {REVISION}; run: webhookd migrate"
    return (
        f"the database is at revision {found}, this version needs {REVISION} and does not know {found}: either a "
        f"newer version of webhookd has migrated it, then start that one, or go back with it (webhookd migrate --to "
        f"{REVISION}); or it is the database of another application"
    )


def is_known(found: str | None) -> bool:
    """Whether this version can migrate the database from that revision."""
    return found is None or found in REVISIONS
