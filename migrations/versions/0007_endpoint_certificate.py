"""Add the certificate of a subscription's endpoint to its status.

The new column has a server default, so that Postgres rewrites no table: the ALTER TABLE statement holds its lock for
milliseconds.

The way back removes what an earlier version cannot read, or would act against:

what                                              because an earlier version
incidents and mails about certificates            cannot read their keys
the delivery state `unverified`                   cannot read it, nor any status in the same query
problems with a code of this revision             does not know how they end
subscriptions whose endpoint has not consented    asks no endpoint, and would deliver: they are made inactive
"""

import time
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from webhookd import logs

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

JSON = sa.JSON().with_variant(JSONB(), "postgresql")

UNVERIFIED = "unverified"
ENDPOINT_UNVERIFIED = "endpoint_unverified"
NEW_CODES = (ENDPOINT_UNVERIFIED, "destination_unusable")

_log = logs.get(__name__)


def upgrade() -> None:
    op.add_column("subscription_statuses", sa.Column("endpoint_certificate", JSON, nullable=False, server_default="{}"))


def downgrade() -> None:
    for table in ("incidents", "mail_outbox"):
        key = sa.column("subject_key", sa.String)
        op.execute(sa.delete(sa.table(table, key)).where(key.startswith("certificate:")))
    _reset_statuses()
    _deactivate_unverified()
    op.drop_column("subscription_statuses", "endpoint_certificate")


def _reset_statuses() -> None:
    """Ingest writes an empty state anew, and finds again what the removed problems were about if it still is so."""
    columns = ("subscription_id", "health", "reason", "delivery_state", "delivery", "problems", "version_delivered")
    types: dict[str, Any] = {"delivery": JSON, "problems": JSON, "version_delivered": sa.Boolean()}
    statuses = sa.table("subscription_statuses", *[sa.column(name, types.get(name, sa.Text())) for name in columns])
    written = sa.cast(statuses.c.problems, sa.Text())
    affected = sa.or_(statuses.c.delivery_state == UNVERIFIED, *[written.contains(code) for code in NEW_CODES])
    connection = op.get_bind()
    for row in connection.execute(sa.select(statuses).where(affected)).all():
        changes: dict[str, Any] = _without_new_problems(row)
        if row.delivery_state == UNVERIFIED:
            changes |= {"delivery": {}, "delivery_state": ""}
        if changes:
            changed = sa.update(statuses).where(statuses.c.subscription_id == row.subscription_id)
            connection.execute(changed.values(**changes))


def _without_new_problems(row: sa.Row[Any]) -> dict[str, Any]:
    """Return the columns to change. Until the next delivery nobody gets a mail that the subscription has recovered."""
    left = [problem for problem in row.problems if problem["code"] not in NEW_CODES]
    if left == row.problems:
        return {}
    if left:
        return {"problems": left, "reason": left[0]["code"]}
    return {"problems": [], "reason": "", "health": "healthy", "version_delivered": False}


def _deactivate_unverified() -> None:
    names = ("id", "version", "active", "inactive_reason", "changed_at")
    types: dict[str, Any] = {"version": sa.Integer(), "active": sa.Boolean(), "changed_at": sa.Float()}
    columns = [sa.column(name, types.get(name, sa.Text())) for name in names]
    table = sa.table("subscriptions", *columns, sa.column("destination", JSON))
    asked = table.c.destination["verification"].as_string()
    connection = op.get_bind()
    for row in connection.execute(sa.select(table).where(table.c.active, asked != "none").order_by(table.c.id)).all():
        if row.destination.get("verified") is not True:
            change = {
                "active": False,
                "inactive_reason": ENDPOINT_UNVERIFIED,
                "version": row.version + 1,
                "changed_at": time.time(),
            }
            connection.execute(sa.update(table).where(table.c.id == row.id).values(**change))
            _log.warning("subscription_deactivated", code=ENDPOINT_UNVERIFIED, subscription=row.id, version=row.version)
