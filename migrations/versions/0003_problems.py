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
    _upgrade_conditions()
    _upgrade_members()
    with op.batch_alter_table("subscriptions") as batch:
        batch.add_column(sa.Column("on_filter_error", sa.Text(), nullable=False, server_default="dead_letter"))
    with op.batch_alter_table("subscriptions") as batch:
        batch.alter_column("on_filter_error", server_default=None)
    op.create_table(
        "kafka_cluster",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("cluster_id", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.Float(), nullable=False),
    )
    op.create_table(
        "mail_failures",
        sa.Column("owner", sa.String(36), primary_key=True),
        sa.Column("recipient", sa.String(320), primary_key=True),
        sa.Column("fate", sa.String(20), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("mails", sa.Integer(), nullable=False),
        sa.Column("since", sa.Float(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
    )
    op.create_index("ix_mail_failures_at", "mail_failures", ["at"])


def downgrade() -> None:
    with op.batch_alter_table("subscriptions") as batch:
        batch.drop_column("on_filter_error")
    op.drop_table("mail_failures")
    op.drop_table("kafka_cluster")
    with op.batch_alter_table("ingest_members") as batch:
        batch.drop_column("contact_s")
        batch.drop_column("reads")
    _downgrade_conditions()


def _upgrade_members() -> None:
    """The rows that are there are of the version before, which always took its share."""
    with op.batch_alter_table("ingest_members") as batch:
        batch.add_column(sa.Column("reads", sa.Boolean(), nullable=False, server_default=sa.true()))
        batch.add_column(sa.Column("contact_s", sa.Float(), nullable=False, server_default="0"))
    with op.batch_alter_table("ingest_members") as batch:
        batch.alter_column("reads", server_default=None)
        batch.alter_column("contact_s", server_default=None)


def _upgrade_conditions() -> None:
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


def _downgrade_conditions() -> None:
    with op.batch_alter_table("vitals") as batch:
        batch.drop_column("longest_turn_s")
    with op.batch_alter_table("activity") as batch:
        batch.drop_column("detail")
    op.execute(sa.text("UPDATE conditions SET lag = 0 WHERE lag IS NULL"))
    with op.batch_alter_table("conditions") as batch:
        batch.alter_column("lag", existing_type=sa.BigInteger(), nullable=False)
        for column in _ADDED:
            batch.drop_column(column)
