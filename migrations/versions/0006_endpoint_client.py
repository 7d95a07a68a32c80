"""Add the options of destinations: method, signatures, authentication, TLS, limits of requests.

Each new column has a server default, so that Postgres rewrites no table: the ALTER TABLE statements hold their lock for
milliseconds. The default stays for rows that an older version inserts while processes are replaced.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

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
    for table, name, _, _ in reversed(COLUMNS):
        op.drop_column(table, name)
