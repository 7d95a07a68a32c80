"""The settings of metrics; webhookd/settings.py has the others and says how they are read."""

from pydantic import Field

from webhookd.configuration.subject import Subject
from webhookd.configuration.value_types import MetricsAddress


class MetricsSettings(Subject):
    """Metrics."""

    metrics_bind: MetricsAddress = Field(
        default="127.0.0.1:9464-9495",
        description="Where API, ingest and workers serve `GET /metrics` for Prometheus: an address as `host:port`, "
        "or `host:first-last` for the first port of a range that is free, so that several processes can run on a "
        "machine. The log says which one it is (`metrics_served`). The metrics name no tenant and no URL, but the ids "
        "of subscriptions, and anybody who reaches the port can read them. Empty: no metrics.",
    )
    metrics_subscriptions: int = Field(
        default=100,
        ge=0,
        le=10_000,
        description="How many subscriptions of an ingest process have series of their own: unhealthy ones first, then "
        'those with the most traffic. The others are counted together, with the label `subscription="other"`.',
    )
