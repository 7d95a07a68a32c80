"""All settings, each with its type, its default and its description.

A process reads them once, when it starts, from `WEBHOOKD_…` environment variables. `webhookd demo` and `webhookd run`
build the same object with other values. What cannot be used ends the process before it starts any work: see
webhookd/settings_loader.py. `make reference` writes docs/reference/settings.md from this module.

Every number has a lower and an upper bound: beyond them the process or the promise would break.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from webhookd.configuration.api_settings import AccessSettings, ApiRequestSettings, RateLimitSettings, TenantSettings
from webhookd.configuration.egress_settings import (
    EgressRuleSettings,
    EgressSettings,
    HostLimitSettings,
    VerificationSettings,
)
from webhookd.configuration.log_settings import LogSettings
from webhookd.configuration.metrics_settings import MetricsSettings
from webhookd.configuration.policy_settings import PolicySettings
from webhookd.configuration.secret_settings import SecretSettings
from webhookd.configuration.subject import Subject, shown
from webhookd.configuration.tracing_settings import TracingSettings
from webhookd.configuration.value_types import (
    BrokerList,
    DatabaseUrl,
    HostPort,
    KafkaMap,
    Login,
    MailAddressText,
    MailHost,
    RedisUrl,
)
from webhookd.kafka_properties import KafkaProperties

GroupProtocol = Literal["auto", "consumer", "classic"]
SmtpSecurity = Literal["none", "starttls", "tls"]


class KafkaSettings(Subject):
    """Kafka."""

    kafka_bootstrap_servers: BrokerList = Field(
        default="127.0.0.1:9092", description="Addresses of the brokers as `host:port`, separated by commas."
    )
    kafka_config: KafkaMap = Field(
        default=KafkaProperties(),
        description="librdkafka properties of every Kafka client, such as `security.protocol`, `sasl.…` and `ssl.…`: "
        "`name=value,name=value`, or a JSON object where a value has a comma. A property that webhookd decides itself "
        "is refused. The page `how-to/kafka-security.md` has examples.",
    )
    kafka_config_file: Path | None = Field(
        default=None,
        description="A file with more of these properties, one `name=value` a line, comments begin with `#`. Keep "
        "secrets here. `WEBHOOKD_KAFKA_CONFIG` wins where both set the same property.",
    )
    kafka_group_protocol: GroupProtocol = Field(
        default="classic",
        description="The consumer group protocol. `classic`: the partitions of a killed ingest process are read again "
        "after 10 s, those of a stopped one after 5 s. `consumer` (KIP-848, brokers from 4.0): after 45 s, which the "
        "brokers set, and after 0.5 s. `auto`: `consumer`, or `classic` if the brokers do not support it.",
    )
    kafka_fetch_wait_s: float = Field(
        default=0.4,
        ge=0.001,
        le=10,
        description="How long a broker holds a fetch request for which it has no records. A partition may also wait "
        "this long while another one has a full buffer.",
    )
    kafka_ask_timeout_s: float = Field(
        default=5.0, ge=0.1, le=25, description="How long the API waits for the brokers before it returns 503."
    )


class StorageSettings(Subject):
    """Redis and database."""

    redis_url: RedisUrl = Field(
        default="redis://127.0.0.1:6379/0",
        description="The Redis that carries tasks, payloads and reports: `redis://`, `rediss://` (TLS), `unix://` or "
        "`sentinel://`. `memory://` keeps them in the memory of this process instead.",
    )
    redis_ca_file: Path | None = Field(
        default=None,
        description="A CA bundle (PEM) for the certificates of Redis and its Sentinels, in addition to the system's.",
    )
    redis_client_cert_file: Path | None = Field(
        default=None, description="The client certificate (PEM, chain included) for a Redis that asks for one."
    )
    redis_client_key_file: Path | None = Field(
        default=None,
        description="The private key of that certificate (PEM, unencrypted), unless the certificate's file holds it.",
    )
    redis_key_prefix: str = Field(default="webhookd:", description="The prefix of every key in Redis.")
    database_url: DatabaseUrl = Field(
        default="postgresql://webhookd:webhookd@127.0.0.1:5432/webhookd",
        description="The database: `postgresql://user:password@host:port/database` with the parameters of libpq, such "
        "as `?sslmode=verify-full`, or `sqlite:///file`.",
    )


class IngestSettings(Subject):
    """Ingest."""

    ingest_member_timeout_s: float = Field(
        default=10.0,
        ge=1,
        le=3600,
        description="An ingest process without a heartbeat for this long counts as ended; the others take over its "
        "subscriptions.",
    )
    ingest_kafka_timeout_s: float = Field(
        default=15.0,
        ge=1,
        le=3600,
        description="An ingest process that has had no response from Kafka for this long gives its subscriptions to "
        "processes that reach Kafka. It should be longer than the restart of a broker (5 to 10 s), so that a restart "
        "moves no subscription.",
    )
    control_read_interval_s: float = Field(
        default=1.0,
        ge=0.05,
        le=60,
        description="How often a process reads changed subscriptions and the offline switch from the database.",
    )
    lane_buffer_bytes: int = Field(
        default=8 * 1024 * 1024,
        ge=65_536,
        le=1 << 30,
        description="How many serialised bytes may wait in one lane (one subscription × one partition). At the bound "
        "its partition is paused.",
    )
    process_buffer_bytes: int = Field(
        default=512 * 1024 * 1024,
        ge=65_536,
        le=1 << 40,
        description="How many serialised bytes may wait in one ingest process.",
    )
    delivery_bytes: int = Field(
        default=4 * 1024 * 1024, ge=1024, le=1 << 28, description="The size of a delivery's payload at most."
    )
    delivery_target_s: float = Field(
        default=0.25,
        ge=0.01,
        le=60,
        description="The size of a delivery is chosen so that sending it takes about this time.",
    )
    commit_interval_s: float = Field(
        default=1.0, ge=0.05, le=60, description="How often ingest commits offsets to Kafka."
    )
    dropped_commit_interval_s: float = Field(
        default=60.0,
        ge=0.05,
        le=3600,
        description="The longest time between two commits of a lane that has caught up and drops every record. With "
        "few subscriptions it commits every `WEBHOOKD_COMMIT_INTERVAL_S`. After a crash ingest reads these records "
        "again, and delivers none of them twice.",
    )
    offset_upkeep_s: float = Field(
        default=6 * 3600.0,
        ge=60,
        le=7 * 86400,
        description="How often ingest repeats the commits of subscriptions that do not run, so that the brokers keep "
        "their offsets. It must be much shorter than the brokers' `offsets.retention.minutes`.",
    )
    claim_timeout_s: float = Field(
        default=10.0,
        ge=0.1,
        le=3600,
        description="Ingest publishes the task of a delivery again when no worker has claimed it for this long; the "
        "time doubles with each publication.",
    )
    lease_s: float = Field(
        default=5.0,
        ge=0.1,
        le=3600,
        description="A claimed delivery counts as lost when no report has arrived for this time plus "
        "`WEBHOOKD_REQUEST_DEADLINE_S` or the subscription's `timeout_seconds`; ingest then sends it again.",
    )


class DeliverySettings(Subject):
    """Delivery."""

    request_deadline_s: float = Field(
        default=15.0,
        ge=0.1,
        le=600,
        description="The time limit of one HTTP request, from before the DNS lookup to the status line of the answer. "
        "A subscription's `timeout_seconds` (1 to 60) replaces it.",
    )
    retry_time_scale: float = Field(
        default=1.0,
        ge=0.001,
        le=4,
        description="Multiplies every wait between attempts and between probes. Use a value below 1 to try things out.",
    )
    response_bytes: int = Field(
        default=16 * 1024,
        ge=0,
        le=1 << 20,
        description="How much of a response body is kept. The rest is read and dropped, up to 256 KiB.",
    )
    session_idle_s: float = Field(
        default=1.0,
        ge=0.0,
        le=3.0,
        description="How long a task of the queue for first attempts stays open for further deliveries after the last "
        "one. Ingest pushes them to it instead of publishing tasks, which costs several times as much. A task takes "
        "deliveries for at most 4 s. Set it for ingest and workers alike; with 0 no task stays open.",
    )
    session_deliveries: int = Field(
        default=64,
        ge=1,
        le=10_000,
        description="How many deliveries of an open task may be in progress. When all open tasks have as many, ingest "
        "publishes a new task, which any worker may take.",
    )
    worker_threads: int = Field(
        default=256,
        ge=1,
        le=4096,
        description="How many tasks a worker process carries out at the same time. Its threads only wait for "
        "responses.",
    )
    worker_stuck_s: float = Field(
        default=30.0,
        ge=1,
        le=3600,
        description="A worker that has a free thread and takes none of the tasks in its queue for this long is stuck: "
        "it ends itself with exit code 70, so that its supervisor starts it again.",
    )


class AlertSettings(Subject):
    """Alerts by mail."""

    smtp_host: MailHost = Field(
        default="", description="The mail server. Without one, alerts are stored and logged, but not mailed."
    )
    smtp_port: int = Field(
        default=587,
        ge=1,
        le=65_535,
        description="The mail server's port: usually 587 for `starttls`, 465 for `tls`, 25 for `none`.",
    )
    smtp_security: SmtpSecurity = Field(
        default="starttls",
        description="`starttls`; `tls` from the first byte; or `none`. webhookd never falls back to an unencrypted "
        "connection.",
    )
    smtp_ca_file: Path | None = Field(
        default=None,
        description="A CA bundle (PEM) for the mail server's certificate, in addition to the system's.",
    )
    smtp_user: str = Field(default="", description="The login at the mail server. Empty: no login.")
    smtp_password: SecretStr = Field(default=SecretStr(""), description="The password of that login.")
    mail_from: MailAddressText = Field(
        default="", description="The sender's address. Required with `WEBHOOKD_SMTP_HOST`."
    )
    operator_emails: tuple[MailAddressText, ...] = Field(
        default=(),
        description="Addresses that get mails about system faults: brokers, Redis, database, workers, mail server. "
        "For example `ops@example.com,oncall@example.com`.",
    )


class RetentionSettings(Subject):
    """Retention."""

    activity_retention_s: float = Field(
        default=7 * 86400.0,
        ge=60,
        le=3650 * 86400,
        description="How long recent activity and alerts are kept in the database.",
    )
    dead_letter_retention_s: float = Field(
        default=30 * 86400.0,
        ge=60,
        le=3650 * 86400,
        description="How long dead letters are kept, also those of deleted subscriptions.",
    )
    audit_retention_s: float = Field(
        default=365 * 86400.0,
        ge=60,
        le=3650 * 86400,
        description="How long the audit log is kept in the database.",
    )
    dead_letter_limit: int = Field(
        default=10_000,
        ge=1,
        le=100_000_000,
        description="How many dead letters of one subscription are stored. At the limit, its lanes stop before the "
        "next record that would become one, until some are deleted. With records of 1 kB, 10,000 are 10 MB.",
    )


class ProcessSettings(Subject):
    """Processes."""

    stop_budget_s: float = Field(
        default=20.0,
        ge=0,
        le=3600,
        description="How long the deliveries in flight may take after an ingest or worker process got a stop signal. "
        "Those still open are then aborted, and sent again later. The supervisor should wait 15 s longer before it "
        "kills the process.",
    )
    api_bind: HostPort = Field(
        default="127.0.0.1:8080", description="The address and port of the management API, as `host:port`."
    )
    api_body_bytes: int = Field(
        default=256 * 1024, ge=1024, le=64 << 20, description="The size of a request body that the API accepts at most."
    )
    api_require_if_match: bool = Field(
        default=False,
        description="`true` refuses a PUT, PATCH or DELETE of a subscription without the header `If-Match` (428), so "
        "that no client overwrites a change that it has not seen.",
    )
    flower_login: Login = Field(
        default=SecretStr(""),
        description="`user:password` for Flower. Without it, Flower listens on loopback only.",
    )


class Settings(
    TracingSettings,
    ApiRequestSettings,
    MetricsSettings,
    LogSettings,
    ProcessSettings,
    RateLimitSettings,
    PolicySettings,
    AccessSettings,
    TenantSettings,
    RetentionSettings,
    AlertSettings,
    EgressSettings,
    EgressRuleSettings,
    VerificationSettings,
    HostLimitSettings,
    DeliverySettings,
    IngestSettings,
    SecretSettings,
    StorageSettings,
    KafkaSettings,
):
    """All settings of a process; frozen."""

    @staticmethod
    def subjects() -> Sequence[type[Subject]]:
        """The groups of settings, in the order of this module."""
        return Settings.__bases__[::-1]

    def shown(self) -> dict[str, str]:
        """Return every setting as text, with passwords masked, for logs and people."""
        return {name: shown(getattr(self, name)) for name in type(self).model_fields}

    def changed(self) -> dict[str, str]:
        """Return the settings that differ from their defaults, as `shown` does."""
        shown = self.shown()
        return {
            name: shown[name]
            for name, field in type(self).model_fields.items()
            if getattr(self, name) != field.get_default(call_default_factory=True)
        }

    @property
    def open_without_policy(self) -> bool:
        """Whether tenants may read topics for which there is no policy."""
        chosen = self.topics_without_policy
        return self.api_auth == "none" if chosen == "auto" else chosen == "open"

    @property
    def embedded(self) -> bool:
        """Whether queue, payloads, claims and reports are kept in the memory of this process."""
        return self.redis_url.strip().lower().startswith("memory:")
