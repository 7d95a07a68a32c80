"""Give tables, columns and stored codes the names of the field: incidents, statuses, outbox, heartbeats.

before                       after
conditions                   subscription_statuses (proven → version_delivered)
alerts                       mail_outbox
spells                       incidents (told → owner_notified, speak_at → next_mail_at, untold_… → unreported_…)
faults                       system_faults
vitals                       ingest_load (longest_turn_s → longest_iteration_s)
ingest_members.beat_at, …    heartbeat_at, reads_kafka, kafka_reachable_s
mail_failures.fate           result
delivery state "paused"      "circuit_open"
reason "intake_failed"       "consumer_failed"
"""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

TABLES = (
    ("conditions", "subscription_statuses"),
    ("alerts", "mail_outbox"),
    ("spells", "incidents"),
    ("faults", "system_faults"),
    ("vitals", "ingest_load"),
)
COLUMNS = (
    ("subscription_statuses", "proven", "version_delivered"),
    ("incidents", "told", "owner_notified"),
    ("incidents", "speak_at", "next_mail_at"),
    ("incidents", "untold_ranges", "unreported_ranges"),
    ("incidents", "untold_records", "unreported_records"),
    ("ingest_load", "longest_turn_s", "longest_iteration_s"),
    ("ingest_members", "beat_at", "heartbeat_at"),
    ("ingest_members", "reads", "reads_kafka"),
    ("ingest_members", "contact_s", "kafka_reachable_s"),
    ("mail_failures", "fate", "result"),
)
"""The table by its new name, the column's old name and its new one."""

INDEXES = (
    ("ix_alerts_subject_key", "ix_mail_outbox_subject_key", "mail_outbox", "subject_key"),
    ("ix_alerts_next_try_at", "ix_mail_outbox_next_try_at", "mail_outbox", "next_try_at"),
    ("ix_spells_speak_at", "ix_incidents_next_mail_at", "incidents", "next_mail_at"),
)
"""The old name, the new one, and what it is on by the new names."""


def upgrade() -> None:
    for old, new in TABLES:
        op.rename_table(old, new)
    for table, old, new in COLUMNS:
        op.alter_column(table, old, new_column_name=new)
    for old, new, table, column in INDEXES:
        op.drop_index(old, table_name=table)
        op.create_index(new, table, [column])
    _rename_codes({"paused": "circuit_open", "intake_failed": "consumer_failed"})


def downgrade() -> None:
    _rename_codes({"circuit_open": "paused", "consumer_failed": "intake_failed"})
    for _, new, table, _ in INDEXES:
        op.drop_index(new, table_name=table)
    for table, old, new in reversed(COLUMNS):
        op.alter_column(table, new, new_column_name=old)
    for old, new in reversed(TABLES):
        op.rename_table(new, old)
    op.create_index("ix_alerts_subject_key", "alerts", ["subject_key"])
    op.create_index("ix_alerts_next_try_at", "alerts", ["next_try_at"])
    op.create_index("ix_spells_speak_at", "spells", ["speak_at"])


def _rename_codes(renamed: Mapping[str, str]) -> None:
    """In delivery states and reasons, and in the documents beside them; a subscription that is off keeps its status."""
    columns = ("subscription_id", "reason", "delivery_state", "delivery", "problems")
    statuses: Any = sa.table(
        "subscription_statuses",
        *[sa.column(name, sa.JSON() if name in {"delivery", "problems"} else sa.Text()) for name in columns],
    )
    connection = op.get_bind()
    for row in connection.execute(sa.select(statuses)).all():
        state = renamed.get(row.delivery_state, row.delivery_state)
        after = {
            "reason": renamed.get(row.reason, row.reason),
            "delivery_state": state,
            "delivery": row.delivery | {"state": state} if row.delivery else {},
            "problems": [item | {"code": renamed.get(item["code"], item["code"])} for item in row.problems],
        }
        if any(after[name] != getattr(row, name) for name in after):
            changed = statuses.update().where(statuses.c.subscription_id == row.subscription_id)
            connection.execute(changed.values(**after))
