"""Add what failure needs: policies, spans of trouble, dead letters of deliveries, administration, alerts, faults."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_ADDED: Sequence[tuple[str, str, sa.types.TypeEngine[Any], str | None]] = (
    ("subscriptions", "on_exhausted", sa.Text(), "pause"),
    ("subscriptions", "dead_letter_topic", sa.Text(), ""),
    ("subscriptions", "inactive_reason", sa.Text(), ""),
    ("conditions", "failing_since", sa.Float(), "0"),
    ("conditions", "last_failure", sa.Text(), ""),
    ("conditions", "lag", sa.BigInteger(), "0"),
    ("conditions", "lost_ranges", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), "[]"),
    ("dead_letters", "status", sa.Integer(), None),
    ("dead_letters", "attempts", sa.Integer(), "0"),
)
"""Table, column, type, and what the rows that are there get (None: NULL)."""


def upgrade() -> None:
    for table in ("subscriptions", "conditions", "dead_letters"):
        _add_columns(table)
    _create_administration()
    _create_alerts()
    _create_faults()


def downgrade() -> None:
    for table in ("vitals", "faults", "spells", "alerts", "dropped_groups", "administration"):
        op.drop_table(table)
    for table, column, _, _ in reversed(_ADDED):
        with op.batch_alter_table(table) as batch:
            batch.drop_column(column)


def _add_columns(table: str) -> None:
    """With a default for the rows there are, which is taken away again: what is written says everything itself."""
    added = [(name, kind, default) for of, name, kind, default in _ADDED if of == table]
    with op.batch_alter_table(table) as batch:
        for name, kind, default in added:
            batch.add_column(sa.Column(name, kind, nullable=default is None, server_default=default))
    with op.batch_alter_table(table) as batch:
        for name, _, default in added:
            if default is not None:
                batch.alter_column(name, server_default=None)


def _create_administration() -> None:
    op.create_table(
        "administration",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("offline_message", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.Float(), nullable=False),
    )
    op.create_table(
        "dropped_groups",
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("dropped_at", sa.Float(), nullable=False),
    )


def _create_alerts() -> None:
    op.create_table(
        "alerts",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("subject_key", sa.String(100), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("message_id", sa.String(200), nullable=False, unique=True),
        sa.Column("recipients", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("next_try_at", sa.Float(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("sent_at", sa.Float(), nullable=True),
    )
    op.create_index("ix_alerts_subject_key", "alerts", ["subject_key"])
    op.create_index("ix_alerts_next_try_at", "alerts", ["next_try_at"])
    op.create_table(
        "spells",
        sa.Column("subject_key", sa.String(100), primary_key=True),
        sa.Column("began_at", sa.Float(), nullable=False),
        sa.Column("ended_at", sa.Float(), nullable=False),
        sa.Column("told", sa.Boolean(), nullable=False),
        sa.Column("mails", sa.Integer(), nullable=False),
        sa.Column("speak_at", sa.Float(), nullable=False),
    )
    op.create_index("ix_spells_speak_at", "spells", ["speak_at"])


def _create_faults() -> None:
    op.create_table(
        "faults",
        sa.Column("code", sa.String(60), primary_key=True),
        sa.Column("member_id", sa.String(200), primary_key=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("since", sa.Float(), nullable=False),
        sa.Column("seen_at", sa.Float(), nullable=False),
    )
    op.create_table(
        "vitals",
        sa.Column("member_id", sa.String(200), primary_key=True),
        sa.Column("deliveries_in_flight", sa.Integer(), nullable=False),
        sa.Column("oldest_unanswered_s", sa.Float(), nullable=False),
        sa.Column("seen_at", sa.Float(), nullable=False),
    )
