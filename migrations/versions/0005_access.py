"""Add tenants, API keys, policies, the audit log and idempotency keys; labels and more to subscriptions.

What exists belongs to the tenant `default`. Each new column has a server default, so that Postgres rewrites no table:
the ALTER TABLE statements hold their lock for milliseconds. The default stays for rows that an older version inserts
while processes are replaced.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

JSON = sa.JSON().with_variant(JSONB(), "postgresql")
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

COLUMNS: tuple[tuple[str, str, Any, Any], ...] = (
    ("subscriptions", "tenant", sa.String(64), "default"),
    ("subscriptions", "revision", sa.Integer(), "1"),
    ("subscriptions", "description", sa.Text(), sa.text("''")),
    ("subscriptions", "labels", JSON, "{}"),
    ("subscriptions", "external_id", sa.String(200), None),
    ("subscriptions", "created_at", sa.Float(), "0"),
    ("subscriptions", "updated_at", sa.Float(), "0"),
    ("subscription_statuses", "denied", sa.BigInteger(), "0"),
    ("dead_letters", "tenant", sa.String(64), "default"),
    ("ingest_members", "policy_version", sa.BigInteger(), "0"),
)
"""The table, the column, its type, and its default; None for a column that may be NULL."""

INDEXES: tuple[tuple[str, str, list[str]], ...] = (
    ("ix_subscriptions_tenant", "subscriptions", ["tenant", "id"]),
    ("ix_subscriptions_tenant_name", "subscriptions", ["tenant", "name", "id"]),
    ("ix_subscriptions_tenant_created", "subscriptions", ["tenant", "created_at", "id"]),
    ("ix_subscriptions_tenant_updated", "subscriptions", ["tenant", "updated_at", "id"]),
    ("ix_subscriptions_name", "subscriptions", ["name", "id"]),
    ("ix_subscriptions_created", "subscriptions", ["created_at", "id"]),
    ("ix_subscriptions_updated", "subscriptions", ["updated_at", "id"]),
    ("ix_subscriptions_active", "subscriptions", ["active", "tenant", "id"]),
    ("ix_subscriptions_any_external_id", "subscriptions", ["external_id"]),
    ("ix_subscription_statuses_health", "subscription_statuses", ["health", "subscription_id"]),
    ("ix_dead_letters_tenant", "dead_letters", ["tenant"]),
    ("ix_mail_outbox_created_at", "mail_outbox", ["created_at"]),
)
"""Name, table and columns. Building them reads each table once and lets writers wait: a second for a million rows."""

JSON_INDEXES = ("sources", "labels")
"""Columns of subscriptions with an index of what they contain, on Postgres only."""

TABLES = ("idempotency_keys", "audit_log", "policy_set", "policy_versions", "policies", "api_keys")


def upgrade() -> None:
    for table, name, kind, default in COLUMNS:
        op.add_column(table, sa.Column(name, kind, nullable=default is None, server_default=default))
    op.execute("UPDATE subscriptions SET created_at = changed_at, updated_at = changed_at")
    op.create_index("ix_subscriptions_external_id", "subscriptions", ["tenant", "external_id"], unique=True)
    for name, indexed, columns in INDEXES:
        op.create_index(name, indexed, columns)
    if op.get_bind().dialect.name == "postgresql":
        for column in JSON_INDEXES:
            op.create_index(
                f"ix_subscriptions_{column}",
                "subscriptions",
                [column],
                postgresql_using="gin",
                postgresql_ops={column: "jsonb_path_ops"},
            )
    _create_keys_and_policies()
    _create_logs()


def downgrade() -> None:
    for table in TABLES:
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        for column in JSON_INDEXES:
            op.drop_index(f"ix_subscriptions_{column}", "subscriptions")
    for name, indexed, _ in INDEXES:
        op.drop_index(name, indexed)
    op.drop_index("ix_subscriptions_external_id", "subscriptions")
    for table, name, _, _ in reversed(COLUMNS):
        op.drop_column(table, name)


def _create_keys_and_policies() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("secret_hash", sa.String(64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("tenant", sa.String(64), index=True),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float()),
        sa.Column("revoked_at", sa.Float()),
        sa.Column("last_used_at", sa.Float()),
        sa.Column("successor_id", sa.String(32)),
    )
    op.create_table(
        "policies",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("tenant", sa.String(64), index=True),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("effect", sa.String(20), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("condition", sa.Text(), nullable=False),
        sa.Column("projection", JSON, nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
    )
    op.create_table(
        "policy_versions",
        sa.Column("policy_id", sa.String(36), primary_key=True),
        sa.Column("version", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("document", JSON),
        sa.Column("changed_at", sa.Float(), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
    )
    op.create_table(
        "policy_set",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
    )


def _create_logs() -> None:
    op.create_table(
        "audit_log",
        sa.Column("id", SERIAL, primary_key=True),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("key_id", sa.String(32), nullable=False),
        sa.Column("key_name", sa.Text(), nullable=False),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("tenant", sa.String(64)),
        sa.Column("action", sa.String(40), nullable=False),
        sa.Column("subject_kind", sa.String(40), nullable=False),
        sa.Column("subject_id", sa.String(100), nullable=False),
        sa.Column("before", JSON),
        sa.Column("after", JSON),
    )
    for name, columns in (
        ("ix_audit_log_at", ["at"]),
        ("ix_audit_log_subject", ["subject_id", "id"]),
        ("ix_audit_log_key", ["key_id", "id"]),
        ("ix_audit_log_tenant", ["tenant", "id"]),
    ):
        op.create_index(name, "audit_log", columns)
    op.create_table(
        "idempotency_keys",
        sa.Column("owner", sa.String(100), primary_key=True),
        sa.Column("key", sa.String(255), primary_key=True),
        sa.Column("body_digest", sa.String(64), nullable=False),
        sa.Column("status", sa.Integer()),
        sa.Column("headers", JSON, nullable=False),
        sa.Column("body", sa.LargeBinary()),
        sa.Column("created_at", sa.Float(), nullable=False, index=True),
    )
