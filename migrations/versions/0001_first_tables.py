"""Create the first tables: subscriptions, conditions, activity, dead letters, ingest members."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def _json(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False)


def _owner(*, primary_key: bool) -> sa.Column[str]:
    return sa.Column(
        "subscription_id",
        sa.String(36),
        sa.ForeignKey("subscriptions.id", ondelete="CASCADE"),
        primary_key=primary_key,
        nullable=False,
    )


def upgrade() -> None:
    _create_subscriptions()
    _create_conditions()
    _create_activity()
    _create_dead_letters()
    op.create_table(
        "ingest_members",
        sa.Column("id", sa.String(200), primary_key=True),
        sa.Column("beat_at", sa.Float(), nullable=False),
    )


def downgrade() -> None:
    for table in ("ingest_members", "dead_letters", "activity", "conditions", "subscriptions"):
        op.drop_table(table)


def _create_subscriptions() -> None:
    op.create_table(
        "subscriptions",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        _json("headers"),
        _json("sources"),
        sa.Column("max_batch_size", sa.Integer(), nullable=False),
        sa.Column("max_batch_interval_s", sa.Float(), nullable=False),
        sa.Column("max_retries", sa.Integer(), nullable=False),
        sa.Column("retry_algorithm", sa.Text(), nullable=False),
        _json("alert_emails"),
        sa.Column("changed_at", sa.Float(), nullable=False),
    )


def _create_conditions() -> None:
    op.create_table(
        "conditions",
        _owner(primary_key=True),
        sa.Column("health", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("since", sa.Float(), nullable=False),
        _json("topics"),
        sa.Column("delivered", sa.BigInteger(), nullable=False),
        sa.Column("filtered", sa.BigInteger(), nullable=False),
        sa.Column("filter_errors", sa.BigInteger(), nullable=False),
        sa.Column("last_filter_error", sa.Text(), nullable=False),
        sa.Column("dead_lettered", sa.BigInteger(), nullable=False),
    )


def _create_activity() -> None:
    op.create_table(
        "activity",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        _owner(primary_key=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("succeeded", sa.Boolean(), nullable=False),
        sa.Column("routine", sa.Boolean(), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        _json("request_headers"),
        sa.Column("response_code", sa.Integer(), nullable=True),
        sa.Column("response_body", sa.Text(), nullable=False),
        _json("response_headers"),
        sa.Column("error", sa.Text(), nullable=False),
    )
    op.create_index("ix_activity_recent", "activity", ["subscription_id", "routine", "at"])
    op.create_index("ix_activity_at", "activity", ["at"])


def _create_dead_letters() -> None:
    op.create_table(
        "dead_letters",
        sa.Column("subscription_id", sa.String(36), primary_key=True),
        sa.Column("topic", sa.String(249), primary_key=True),
        sa.Column("partition", sa.Integer(), primary_key=True),
        sa.Column("offset", sa.BigInteger(), primary_key=True),
        sa.Column("timestamp_ms", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=True),
        sa.Column("value", sa.LargeBinary(), nullable=True),
        _json("headers"),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("stored_at", sa.Float(), nullable=False),
    )
    op.create_index("ix_dead_letters_stored_at", "dead_letters", ["stored_at"])
