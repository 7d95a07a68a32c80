"""How Alembic reaches the database: one connection, one transaction, one migrator at a time."""

from alembic import context
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.pool import NullPool

from webhookd.store.tables import Table

MIGRATION_LOCK = 7_316_250_001
"""Postgres advisory lock: two processes that migrate at the same moment take turns."""


def run(connection: Connection) -> None:
    """Apply the migrations in one transaction, so that a failed one leaves nothing behind on Postgres."""
    context.configure(
        connection=connection,
        target_metadata=Table.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
    )
    with context.begin_transaction():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        context.run_migrations()


engine = create_engine(context.config.attributes["url"], poolclass=NullPool)
with engine.connect() as opened:
    run(opened)
engine.dispose()
