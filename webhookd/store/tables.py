"""The tables, as the migrations build them on Postgres and on SQLite.

Times are seconds since the epoch, as floats. Responses of endpoints and values of records can be any text. So the two
column types here replace what Postgres cannot store (NUL characters, lone surrogates) instead of raising an error.
"""

from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Float, ForeignKey, Index, Integer, LargeBinary, String, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.schema import SchemaItem
from sqlalchemy.types import TypeDecorator

from webhookd.flow.access.caller import DEFAULT_TENANT

Json = Any
"""Any document that the json module can write."""


def storable(text: str) -> str:
    """The text with every character that Postgres refuses replaced by U+FFFD or a question mark."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "\ufffd")


def storable_json(value: Json) -> Json:
    """The document with every string in it made storable."""
    match value:
        case str():
            return storable(value)
        case dict():
            return {storable(str(key)): storable_json(item) for key, item in value.items()}
        case list() | tuple():
            return [storable_json(item) for item in value]
        case _:
            return value


class AnyText(TypeDecorator[str]):
    """Text of any length and content."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002  # SQLAlchemy's signature
        """Replace what the database refuses."""
        return None if value is None else storable(value)


class AnyJson(TypeDecorator[Json]):
    """A JSON document; JSONB on Postgres."""

    impl = JSON().with_variant(JSONB(), "postgresql")
    cache_ok = True

    def process_bind_param(self, value: Json, dialect: Dialect) -> Json:  # noqa: ARG002  # SQLAlchemy's signature
        """Replace what the database refuses."""
        return storable_json(value)


def json_index(name: str, column: str) -> Index:
    """An index of what a JSON column contains. SQLite has no such index and leaves it out."""
    return Index(
        name, column, postgresql_using="gin", postgresql_ops={column: "jsonb_path_ops"}, info={"dialect": "postgresql"}
    ).ddl_if(dialect="postgresql")


def exists_on(dialect: str, declared: SchemaItem) -> bool:
    """Whether a declared table, column or index exists in the databases of this dialect."""
    return bool(declared.info.get("dialect", dialect) == dialect)


class Table(DeclarativeBase):
    """Base class of the tables; its metadata is what the migrations are compared with."""


class SubscriptionRow(Table):
    """One subscription.

    `version` grows with every change of what processes run, also with one of a policy: they compare it. `revision`
    grows with every change of the document by a client, and `updated_at` is the time of that; `changed_at` is the time
    of the last change of `version`.
    """

    __tablename__ = "subscriptions"
    __table_args__ = (
        Index("ix_subscriptions_external_id", "tenant", "external_id", unique=True),
        # The orders of lists, of one tenant and of all, each ending in the id as the lists do.
        Index("ix_subscriptions_tenant", "tenant", "id"),
        Index("ix_subscriptions_tenant_name", "tenant", "name", "id"),
        Index("ix_subscriptions_tenant_created", "tenant", "created_at", "id"),
        Index("ix_subscriptions_tenant_updated", "tenant", "updated_at", "id"),
        Index("ix_subscriptions_name", "name", "id"),
        Index("ix_subscriptions_created", "created_at", "id"),
        Index("ix_subscriptions_updated", "updated_at", "id"),
        # The filters of lists.
        Index("ix_subscriptions_active", "active", "tenant", "id"),
        Index("ix_subscriptions_any_external_id", "external_id"),
        json_index("ix_subscriptions_sources", "sources"),
        json_index("ix_subscriptions_labels", "labels"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    version: Mapped[int] = mapped_column(Integer)
    name: Mapped[str] = mapped_column(AnyText)
    active: Mapped[bool] = mapped_column(Boolean)
    url: Mapped[str] = mapped_column(AnyText)
    headers: Mapped[Json] = mapped_column(AnyJson)
    sources: Mapped[Json] = mapped_column(AnyJson)
    max_batch_size: Mapped[int] = mapped_column(Integer)
    max_batch_interval_s: Mapped[float] = mapped_column(Float)
    max_retries: Mapped[int] = mapped_column(Integer)
    retry_algorithm: Mapped[str] = mapped_column(AnyText)
    alert_emails: Mapped[Json] = mapped_column(AnyJson)
    on_exhausted: Mapped[str] = mapped_column(AnyText)
    dead_letter_topic: Mapped[str] = mapped_column(AnyText)
    on_filter_error: Mapped[str] = mapped_column(AnyText)
    inactive_reason: Mapped[str] = mapped_column(AnyText)
    changed_at: Mapped[float] = mapped_column(Float)
    tenant: Mapped[str] = mapped_column(String(64), server_default=DEFAULT_TENANT)
    revision: Mapped[int] = mapped_column(Integer, server_default="1")
    description: Mapped[str] = mapped_column(AnyText, server_default=text("''"))
    labels: Mapped[Json] = mapped_column(AnyJson, server_default="{}")
    external_id: Mapped[str | None] = mapped_column(String(200))
    created_at: Mapped[float] = mapped_column(Float, server_default="0")
    updated_at: Mapped[float] = mapped_column(Float, server_default="0")
    destination: Mapped[Json] = mapped_column(AnyJson, server_default="{}")
    secrets: Mapped[str] = mapped_column(AnyText, server_default=text("''"))
    limits: Mapped[Json] = mapped_column(AnyJson, server_default="{}")
    max_batch_bytes: Mapped[int | None] = mapped_column(Integer)
    on_rejected: Mapped[str] = mapped_column(String(20), server_default="whole")


class SubscriptionStatusRow(Table):
    """The status of a subscription; one row each, written by the ingest process that runs it."""

    __tablename__ = "subscription_statuses"
    __table_args__ = (Index("ix_subscription_statuses_health", "health", "subscription_id"),)

    subscription_id: Mapped[str] = mapped_column(
        ForeignKey("subscriptions.id", ondelete="CASCADE"),
        primary_key=True,
    )
    health: Mapped[str] = mapped_column(AnyText)
    reason: Mapped[str] = mapped_column(AnyText)
    since: Mapped[float] = mapped_column(Float)
    failing_since: Mapped[float] = mapped_column(Float)
    last_failure: Mapped[str] = mapped_column(AnyText)
    delivery: Mapped[Json] = mapped_column(AnyJson)
    delivery_state: Mapped[str] = mapped_column(AnyText)
    lag: Mapped[int | None] = mapped_column(BigInteger)
    problems: Mapped[Json] = mapped_column(AnyJson)
    lost_ranges: Mapped[Json] = mapped_column(AnyJson)
    topics: Mapped[Json] = mapped_column(AnyJson)
    delivered: Mapped[int] = mapped_column(BigInteger)
    filtered: Mapped[int] = mapped_column(BigInteger)
    denied: Mapped[int] = mapped_column(BigInteger, server_default="0")
    filter_errors: Mapped[int] = mapped_column(BigInteger)
    last_filter_error: Mapped[str] = mapped_column(AnyText)
    dead_lettered: Mapped[int] = mapped_column(BigInteger)
    version: Mapped[int] = mapped_column(Integer)
    version_delivered: Mapped[bool] = mapped_column(Boolean)
    endpoint_certificate: Mapped[Json] = mapped_column(AnyJson, server_default="{}")


class ActivityRow(Table):
    """One event; `routine` marks successful calls, of which only the newest are shown and kept."""

    __tablename__ = "activity"
    __table_args__ = (
        Index("ix_activity_recent", "subscription_id", "routine", "at"),
        Index("ix_activity_at", "at"),
    )

    # SQLite generates ids only for a column of type INTEGER.
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer(), "sqlite"), primary_key=True)
    subscription_id: Mapped[str] = mapped_column(ForeignKey("subscriptions.id", ondelete="CASCADE"))
    at: Mapped[float] = mapped_column(Float)
    event: Mapped[str] = mapped_column(AnyText)
    succeeded: Mapped[bool] = mapped_column(Boolean)
    routine: Mapped[bool] = mapped_column(Boolean)
    calls: Mapped[int] = mapped_column(BigInteger)
    request: Mapped[str] = mapped_column(AnyText)
    request_headers: Mapped[Json] = mapped_column(AnyJson)
    response_code: Mapped[int | None] = mapped_column(Integer)
    response_body: Mapped[str] = mapped_column(AnyText)
    response_headers: Mapped[Json] = mapped_column(AnyJson)
    error: Mapped[str] = mapped_column(AnyText)
    detail: Mapped[str] = mapped_column(AnyText)


class DeadLetterRow(Table):
    """A dead letter. It outlives its subscription, so it has no foreign key to it."""

    __tablename__ = "dead_letters"

    subscription_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    topic: Mapped[str] = mapped_column(String(249), primary_key=True)
    partition: Mapped[int] = mapped_column(Integer, primary_key=True)
    offset: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    timestamp_ms: Mapped[int] = mapped_column(BigInteger)
    key: Mapped[bytes | None] = mapped_column(LargeBinary)
    value: Mapped[bytes | None] = mapped_column(LargeBinary)
    headers: Mapped[Json] = mapped_column(AnyJson)
    cause: Mapped[str] = mapped_column(AnyText)
    detail: Mapped[str] = mapped_column(AnyText)
    status: Mapped[int | None] = mapped_column(Integer)
    attempts: Mapped[int] = mapped_column(Integer)
    stored_at: Mapped[float] = mapped_column(Float, index=True)
    tenant: Mapped[str] = mapped_column(String(64), server_default=DEFAULT_TENANT, index=True)


class IngestMemberRow(Table):
    """One ingest process and its last heartbeat, by the database's clock.

    `reads_kafka` says whether it takes part in the division of the subscriptions. `kafka_reachable_s` is for how long
    Kafka has answered it without a gap. `policy_version` is the version of the policies under which alone it delivers.
    """

    __tablename__ = "ingest_members"

    id: Mapped[str] = mapped_column(String(200), primary_key=True)
    heartbeat_at: Mapped[float] = mapped_column(Float)
    reads_kafka: Mapped[bool] = mapped_column(Boolean)
    kafka_reachable_s: Mapped[float] = mapped_column(Float)
    policy_version: Mapped[int] = mapped_column(BigInteger, server_default="0")


class KafkaClusterRow(Table):
    """The one Kafka cluster that this database belongs to."""

    __tablename__ = "kafka_cluster"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    cluster_id: Mapped[str] = mapped_column(AnyText)
    recorded_at: Mapped[float] = mapped_column(Float)


class AdministrationRow(Table):
    """The one row that says whether webhookd is online; without the row webhookd is online."""

    __tablename__ = "administration"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    status: Mapped[str] = mapped_column(AnyText)
    offline_message: Mapped[str] = mapped_column(AnyText)
    changed_at: Mapped[float] = mapped_column(Float)


class DroppedGroupRow(Table):
    """A consumer group of a deleted subscription: deleted from Kafka once no member is left."""

    __tablename__ = "dropped_groups"

    name: Mapped[str] = mapped_column(String(255), primary_key=True)
    dropped_at: Mapped[float] = mapped_column(Float)


class MailRow(Table):
    """A mail in the outbox: waiting, sent, or given up. It outlives its subscription, so it has no foreign key to it.

    `recipients` are those that have not received it yet, at first all of them. `next_try_at` is NULL if no further try
    is made; `sent_at` is NULL until the mail server has accepted it.
    """

    __tablename__ = "mail_outbox"

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer(), "sqlite"), primary_key=True)
    subject_key: Mapped[str] = mapped_column(String(100), index=True)
    kind: Mapped[str] = mapped_column(AnyText)
    message_id: Mapped[str] = mapped_column(String(200), unique=True)
    recipients: Mapped[Json] = mapped_column(AnyJson)
    subject: Mapped[str] = mapped_column(AnyText)
    body: Mapped[str] = mapped_column(AnyText)
    created_at: Mapped[float] = mapped_column(Float, index=True)
    next_try_at: Mapped[float | None] = mapped_column(Float, index=True)
    tries: Mapped[int] = mapped_column(Integer)
    sent_at: Mapped[float | None] = mapped_column(Float)


class MailFailureRow(Table):
    """An address that did not get its newest mail; the row is deleted when it gets one.

    `owner` is the subscription, empty for the operators. `mails` counts those that were refused or given up.
    """

    __tablename__ = "mail_failures"

    owner: Mapped[str] = mapped_column(String(36), primary_key=True)
    recipient: Mapped[str] = mapped_column(String(320), primary_key=True)
    result: Mapped[str] = mapped_column(String(20))
    detail: Mapped[str] = mapped_column(AnyText)
    mails: Mapped[int] = mapped_column(Integer)
    since: Mapped[float] = mapped_column(Float)
    at: Mapped[float] = mapped_column(Float, index=True)


class IncidentRow(Table):
    """An incident (flow/alerting/incident.py); `subject_key` names the subscription or the system fault."""

    __tablename__ = "incidents"

    subject_key: Mapped[str] = mapped_column(String(100), primary_key=True)
    began_at: Mapped[float] = mapped_column(Float)
    ended_at: Mapped[float] = mapped_column(Float)
    owner_notified: Mapped[bool] = mapped_column(Boolean)
    mails: Mapped[int] = mapped_column(Integer)
    next_mail_at: Mapped[float] = mapped_column(Float, index=True)
    unreported_ranges: Mapped[int] = mapped_column(Integer)
    unreported_records: Mapped[int] = mapped_column(BigInteger)


class FaultRow(Table):
    """A fault of the system that a process has detected, by its code; `seen_at` is by the database's clock."""

    __tablename__ = "system_faults"

    code: Mapped[str] = mapped_column(String(60), primary_key=True)
    member_id: Mapped[str] = mapped_column(String(200), primary_key=True)
    detail: Mapped[str] = mapped_column(AnyText)
    since: Mapped[float] = mapped_column(Float)
    seen_at: Mapped[float] = mapped_column(Float)


class IngestLoadRow(Table):
    """The load of an ingest process: deliveries in flight, and the age of the oldest one without a report."""

    __tablename__ = "ingest_load"

    member_id: Mapped[str] = mapped_column(String(200), primary_key=True)
    deliveries_in_flight: Mapped[int] = mapped_column(Integer)
    oldest_unanswered_s: Mapped[float] = mapped_column(Float)
    longest_iteration_s: Mapped[float] = mapped_column(Float)
    seen_at: Mapped[float] = mapped_column(Float)
