"""Add the certificate of a subscription's endpoint to its status.

The new column has a server default, so that Postgres rewrites no table: the ALTER TABLE statement holds its lock for
milliseconds. The way back deletes the incidents and mails about certificates, since an earlier version cannot
read their keys.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

JSON = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    op.add_column("subscription_statuses", sa.Column("endpoint_certificate", JSON, nullable=False, server_default="{}"))


def downgrade() -> None:
    for table in ("incidents", "mail_outbox"):
        key = sa.column("subject_key", sa.String)
        op.execute(sa.delete(sa.table(table, key)).where(key.startswith("certificate:")))
    op.drop_column("subscription_statuses", "endpoint_certificate")
