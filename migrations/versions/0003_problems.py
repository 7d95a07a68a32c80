"""Add the causes behind a subscription's health, and what each issue of silence needs."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")

_ADDED = ("problems", "delivery", "delivery_state", "version", "proven")
"""Columns of a condition."""


def upgrade() -> None:
    with op.batch_alter_table("conditions") as batch:
        batch.add_column(sa.Column("problems", _JSON, nullable=False, server_default="[]"))
        batch.add_column(sa.Column("delivery", _JSON, nullable=False, server_default="{}"))
        batch.add_column(sa.Column("delivery_state", sa.Text(), nullable=False, server_default=""))
        batch.add_column(sa.Column("version", sa.Integer(), nullable=False, server_default="0"))
        batch.add_column(sa.Column("proven", sa.Boolean(), nullable=False, server_default=sa.true()))
        batch.alter_column("lag", existing_type=sa.BigInteger(), nullable=True)
    with op.batch_alter_table("conditions") as batch:
        for column in _ADDED:
            batch.alter_column(column, server_default=None)
    with op.batch_alter_table("activity") as batch:
        batch.add_column(sa.Column("detail", sa.Text(), nullable=False, server_default=""))
    with op.batch_alter_table("activity") as batch:
        batch.alter_column("detail", server_default=None)
    with op.batch_alter_table("vitals") as batch:
        batch.add_column(sa.Column("longest_turn_s", sa.Float(), nullable=False, server_default="0"))
    with op.batch_alter_table("vitals") as batch:
        batch.alter_column("longest_turn_s", server_default=None)


def downgrade() -> None:
    with op.batch_alter_table("vitals") as batch:
        batch.drop_column("longest_turn_s")
    with op.batch_alter_table("activity") as batch:
        batch.drop_column("detail")
    op.execute(sa.text("UPDATE conditions SET lag = 0 WHERE lag IS NULL"))
    with op.batch_alter_table("conditions") as batch:
        batch.alter_column("lag", existing_type=sa.BigInteger(), nullable=False)
        for column in _ADDED:
            batch.drop_column(column)
