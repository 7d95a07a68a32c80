"""How Alembic works on the connection that webhookd/store/migrating.py has opened, inside its transaction."""

from alembic import context

from webhookd.store.access_tables import ApiKeyRow
from webhookd.store.tables import exists_on

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=ApiKeyRow.metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    compare_type=True,
    include_object=lambda declared, *_: exists_on(connection.dialect.name, declared),
)
with context.begin_transaction():
    context.run_migrations()
