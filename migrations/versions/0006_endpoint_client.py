"""Add the options of destinations: method, signatures, authentication, TLS, limits of requests.

Each new column has a server default, so that Postgres rewrites no table: the ALTER TABLE statements hold their lock for
milliseconds. The default stays for rows that an older version inserts while processes are replaced.

Header values stay where they are: `webhookd migrate` encrypts them afterwards, if there is a key. The way back decrypts
those that are encrypted, for which it needs the key.
"""

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from webhookd.errors import SecretsUnreadable
from webhookd.flow.destination import Sealed
from webhookd.store.secret_keys import SecretKeys

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

JSON = sa.JSON().with_variant(JSONB(), "postgresql")

COLUMNS: tuple[tuple[str, str, Any, Any], ...] = (
    ("subscriptions", "destination", JSON, "{}"),
    ("subscriptions", "secrets", sa.Text(), sa.text("''")),
    ("subscriptions", "limits", JSON, "{}"),
    ("subscriptions", "max_batch_bytes", sa.Integer(), None),
    ("subscriptions", "on_rejected", sa.String(20), "whole"),
)
"""The table, the column, its type, and its default; None for a column that may be NULL."""


def upgrade() -> None:
    for table, name, kind, default in COLUMNS:
        op.add_column(table, sa.Column(name, kind, nullable=default is None, server_default=default))


def downgrade() -> None:
    _decrypt_headers()
    for table, name, _, _ in reversed(COLUMNS):
        op.drop_column(table, name)


def _decrypt_headers() -> None:
    connection, config = op.get_bind(), op.get_context().config
    keys: SecretKeys = config.attributes["secret_keys"] if config is not None else SecretKeys()
    table = sa.table("subscriptions", sa.column("id"), sa.column("headers", JSON), sa.column("secrets"))
    for id_, headers, secrets in connection.execute(sa.select(*table.c).where(table.c.secrets != "")).all():
        found = json.loads(secrets)
        try:
            values = [
                [name, keys.open(Sealed(found[path])) if (path := f"/headers/{index}") in found else value]
                for index, (name, value) in enumerate(headers)
            ]
        except SecretsUnreadable as error:
            raise SecretsUnreadable(
                f"the headers of subscription {id_} cannot be decrypted, which revision 0005 needs: {error.detail}"
            ) from None
        connection.execute(sa.update(table).where(table.c.id == id_).values(headers=values))
