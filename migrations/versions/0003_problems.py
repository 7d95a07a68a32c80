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


def upgrade() -> None:
    with op.batch_alter_table("conditions") as batch:
        batch.add_column(sa.Column("problems", _JSON, nullable=False, server_default="[]"))
        batch.alter_column("lag", existing_type=sa.BigInteger(), nullable=True)
    with op.batch_alter_table("conditions") as batch:
        batch.alter_column("problems", server_default=None)
    with op.batch_alter_table("subscriptions") as batch:
        batch.add_column(sa.Column("on_filter_error", sa.Text(), nullable=False, server_default="dead_letter"))
    with op.batch_alter_table("subscriptions") as batch:
        batch.alter_column("on_filter_error", server_default=None)


def downgrade() -> None:
    with op.batch_alter_table("subscriptions") as batch:
        batch.drop_column("on_filter_error")
    op.execute(sa.text("UPDATE conditions SET lag = 0 WHERE lag IS NULL"))
    with op.batch_alter_table("conditions") as batch:
        batch.alter_column("lag", existing_type=sa.BigInteger(), nullable=False)
        batch.drop_column("problems")
