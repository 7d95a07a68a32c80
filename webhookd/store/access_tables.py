"""The tables of keys, policies, the audit log and idempotency keys; tables.py has the others and their conventions."""

from sqlalchemy import BigInteger, Float, Index, Integer, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from webhookd.store.tables import AnyJson, AnyText, Json, Table


class ApiKeyRow(Table):
    """An API key: `id` is its public part, `secret_hash` the SHA-256 of its secret part, in hexadecimal.

    `tenant` is NULL for the role admin. `successor_id` names the key that replaces it after a rotation.
    """

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    secret_hash: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(AnyText)
    role: Mapped[str] = mapped_column(String(20))
    tenant: Mapped[str | None] = mapped_column(String(64), index=True)
    created_at: Mapped[float] = mapped_column(Float)
    expires_at: Mapped[float | None] = mapped_column(Float)
    revoked_at: Mapped[float | None] = mapped_column(Float)
    last_used_at: Mapped[float | None] = mapped_column(Float)
    successor_id: Mapped[str | None] = mapped_column(String(32))


class PolicyRow(Table):
    """One authorization policy (flow/policy/policy.py); `tenant` is NULL when it is for every tenant.

    `projection` is an empty object where there is none.
    """

    __tablename__ = "policies"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    version: Mapped[int] = mapped_column(Integer)
    tenant: Mapped[str | None] = mapped_column(String(64), index=True)
    topic: Mapped[str] = mapped_column(AnyText)
    effect: Mapped[str] = mapped_column(String(20))
    priority: Mapped[int] = mapped_column(Integer)
    condition: Mapped[str] = mapped_column(AnyText)
    projection: Mapped[Json] = mapped_column(AnyJson)
    description: Mapped[str] = mapped_column(AnyText)
    created_at: Mapped[float] = mapped_column(Float)
    updated_at: Mapped[float] = mapped_column(Float)


class PolicyVersionRow(Table):
    """One version of a policy as it was written, also of deleted ones (`document` is NULL for a deletion)."""

    __tablename__ = "policy_versions"

    policy_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    document: Mapped[Json | None] = mapped_column(AnyJson)
    changed_at: Mapped[float] = mapped_column(Float)
    changed_by: Mapped[str] = mapped_column(AnyText)


class PolicySetRow(Table):
    """The one row with the version of all policies together; without the row it is 0."""

    __tablename__ = "policy_set"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    version: Mapped[int] = mapped_column(BigInteger)


class AuditLogRow(Table):
    """One change: who made it, from where, and what the subject was before and after. Secrets are masked."""

    __tablename__ = "audit_log"
    __table_args__ = (
        Index("ix_audit_log_at", "at"),
        Index("ix_audit_log_subject", "subject_id", "id"),
        Index("ix_audit_log_key", "key_id", "id"),
        Index("ix_audit_log_tenant", "tenant", "id"),
    )

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer(), "sqlite"), primary_key=True)
    at: Mapped[float] = mapped_column(Float)
    key_id: Mapped[str] = mapped_column(String(32))
    key_name: Mapped[str] = mapped_column(AnyText)
    role: Mapped[str] = mapped_column(String(20))
    address: Mapped[str] = mapped_column(AnyText)
    tenant: Mapped[str | None] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(40))
    subject_kind: Mapped[str] = mapped_column(String(40))
    subject_id: Mapped[str] = mapped_column(String(100))
    before: Mapped[Json | None] = mapped_column(AnyJson)
    after: Mapped[Json | None] = mapped_column(AnyJson)


class IdempotencyKeyRow(Table):
    """The answer to a POST that had an Idempotency-Key; `status` is NULL while the request is in progress."""

    __tablename__ = "idempotency_keys"

    owner: Mapped[str] = mapped_column(String(100), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    body_digest: Mapped[str] = mapped_column(String(64))
    status: Mapped[int | None] = mapped_column(Integer)
    headers: Mapped[Json] = mapped_column(AnyJson)
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[float] = mapped_column(Float, index=True)
