"""Every setting: its type, its default and what it is for, in this one place.

Read once, at the start of a process, from `WEBHOOKD_…` environment variables; the embedded default (`webhookd demo`
and `webhookd run`) builds the same object with other edges. What goes wrong is said before any work starts.
"""

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

_PASSWORD = re.compile(r"(://[^:/@]*:)[^@/]+(?=@)|([?&](?:ssl)?password=)[^&]*", re.IGNORECASE)

LogFormat = Literal["json", "text"]
GroupProtocol = Literal["auto", "consumer", "classic"]
SmtpSecurity = Literal["none", "starttls", "tls"]


def _masked(found: re.Match[str]) -> str:
    return f"{found[1] or found[2]}****"


class Settings(BaseSettings):
    """What a process needs to know about the world; frozen."""

    model_config = SettingsConfigDict(env_prefix="WEBHOOKD_", frozen=True, extra="ignore")

    # Outside systems
    kafka_bootstrap_servers: str = Field(default="127.0.0.1:9092", description="host:port, comma separated")
    kafka_group_protocol: GroupProtocol = Field(
        default="classic",
        description="classic: a killed ingest process' partitions are read again after 10 s, a stopped one's after 5; "
        "consumer (KIP-848, brokers from 4.0): after the broker's 45 s, and 0.5; auto: consumer, or classic if need be",
    )
    kafka_fetch_wait_s: float = Field(
        default=0.4,
        description="how long a broker holds an empty fetch; also how long a partition may stall behind a full one",
    )
    kafka_ask_timeout_s: float = Field(default=5.0, description="how long the API waits for the brokers before a 503")
    redis_url: str = Field(
        default="redis://127.0.0.1:6379/0", description="broker, payloads and reports; memory:// is embedded"
    )
    redis_key_prefix: str = Field(default="webhookd:", description="what every key in Redis starts with")
    database_url: str = Field(
        default="postgresql+psycopg2://webhookd:webhookd@127.0.0.1:5432/webhookd", description="an SQLAlchemy URL"
    )

    # Ingest
    ingest_member_timeout_s: float = Field(
        default=10.0, description="a process silent for so long has left (heartbeats)"
    )
    ingest_kafka_timeout_s: float = Field(
        default=15.0,
        gt=0,
        description="an ingest process that Kafka has not answered for so long gives its subscriptions to those "
        "that it answers; longer than a broker's restart (5 to 10 s), so that one moves nothing",
    )
    control_read_interval_s: float = Field(default=1.0, description="how often changed subscriptions are looked for")
    lane_buffer_bytes: int = Field(
        default=8 * 1024 * 1024, description="rendered bytes waiting in one lane; then a pause"
    )
    process_buffer_bytes: int = Field(
        default=512 * 1024 * 1024, description="rendered bytes waiting in one ingest process"
    )
    delivery_bytes: int = Field(default=4 * 1024 * 1024, description="the largest payload of one delivery")
    delivery_target_s: float = Field(default=0.25, description="a delivery is sized to take about so long")
    commit_interval_s: float = Field(default=1.0, description="how often watermarks are committed")
    offset_upkeep_s: float = Field(
        default=6 * 3600.0,
        gt=0,
        description="how often the offsets of subscriptions that do not run are committed again, as they are: far "
        "below the brokers' offsets.retention.minutes",
    )
    claim_timeout_s: float = Field(
        default=10.0, description="an unclaimed delivery is published again after this, then doubling"
    )
    lease_s: float = Field(
        default=5.0, description="a claimed delivery without a report for so long, and the deadline, is lost"
    )

    # Delivery
    request_deadline_s: float = Field(default=15.0, description="one HTTP exchange in total, connect to last byte")
    retry_time_scale: float = Field(
        default=1.0, gt=0, description="multiplies every wait between attempts and probes; below 1 to try things out"
    )
    response_bytes: int = Field(default=16 * 1024, description="what is kept of a response; more is read and dropped")
    worker_threads: int = Field(default=256, description="deliveries a worker process has under way; threads only wait")
    worker_stuck_s: float = Field(
        default=30.0,
        gt=0,
        description="a worker with room that takes none of the tasks waiting in its queue for so long ends itself with "
        "exit code 70, to be started again",
    )
    egress_ca_file: Path | None = Field(default=None, description="CA bundle trusted besides the system's")
    egress_allow: tuple[str, ...] = Field(default=(), description="networks allowed besides the public internet (CIDR)")
    egress_proxy: SecretStr | None = Field(
        default=None,
        description="http://[user:password@]host:port: every connection to an endpoint is a CONNECT through this "
        "proxy. It resolves host names, so it is what must refuse those that lead inside (as smokescreen does); "
        "addresses written in a URL are judged here as well, and its own is not",
    )
    egress_client_cert_file: Path | None = Field(
        default=None, description="certificate (PEM, chain included) shown to endpoints that ask for one"
    )
    egress_client_key_file: Path | None = Field(
        default=None, description="its private key (PEM, unencrypted), unless the certificate's file holds it"
    )

    # Alerts
    smtp_host: str = Field(
        default="", description="the mail server; without one alerts are recorded and logged, and not sent"
    )
    smtp_port: int = Field(default=587, description="587 is usual for starttls, 465 for tls, 25 for none")
    smtp_security: SmtpSecurity = Field(
        default="starttls", description="starttls, tls from the first byte, or none; never less than what is set"
    )
    smtp_ca_file: Path | None = Field(
        default=None, description="CA bundle the mail server's certificate may come from, besides the system's"
    )
    smtp_user: str = Field(default="", description="login at the mail server; none when empty")
    smtp_password: SecretStr = Field(default=SecretStr(""), description="its password")
    mail_from: str = Field(default="", description="the sender's address; needed with a mail server")
    operator_emails: tuple[str, ...] = Field(
        default=(), description="who is told of faults of the system: brokers, Redis, database, workers, mail server"
    )

    # Retention
    activity_retention_s: float = Field(default=7 * 86400.0, description="how long activity and alerts are kept")
    dead_letter_retention_s: float = Field(
        default=30 * 86400.0, description="how long dead letters are kept, also those of deleted subscriptions"
    )
    dead_letter_limit: int = Field(
        default=10_000,
        gt=0,
        description="how many dead letters of a subscription are stored; at the limit its lanes stop before the next "
        "one, until some are deleted. More than people look through, and at 1 kB a record 10 MB",
    )

    # Processes
    stop_budget_s: float = Field(
        default=20.0,
        ge=0,
        description="what is in flight when ingest or a worker is told to stop gets so long to end; what is still open "
        "then is cut and delivered again. The supervisor should wait 15 s longer before it kills",
    )
    api_bind: str = Field(default="127.0.0.1:8080", description="where gunicorn listens")
    api_body_bytes: int = Field(default=256 * 1024, description="the largest request body the API reads")
    flower_login: SecretStr = Field(
        default=SecretStr(""), description="user:password for Flower; without one it listens on loopback only"
    )
    log_format: LogFormat = Field(default="json", description="json, or text for people")
    log_level: str = Field(default="info", description="debug shows each attempt")

    def shown(self) -> dict[str, str]:
        """Every setting as text, with passwords masked: for logs and people."""
        return {name: _PASSWORD.sub(_masked, str(getattr(self, name))) for name in type(self).model_fields}

    @property
    def embedded(self) -> bool:
        """Whether queue, payloads, claims and reports live in this process' memory."""
        return self.redis_url.startswith("memory:")
