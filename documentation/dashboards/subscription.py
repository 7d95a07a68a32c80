"""The dashboard of one subscription."""

from typing import Final

from documentation.dashboards.dashboard import Dashboard
from documentation.dashboards.panels import Unit, series, stat

_ONE = 'subscription="$subscription"'

_NOW = (
    stat(
        "Unhealthy",
        "1 with the reason of the status; for `other` how many have the reason. 0: healthy.",
        Unit.COUNT,
        f"(sum by (reason) (webhookd_subscription_unhealthy{{{_ONE}}}) > 0) or vector(0)",
        legend="{{reason}}",
        critical=1,
    ),
    stat(
        "Oldest record",
        "The age of the oldest record that is read and not settled.",
        Unit.SECONDS,
        f"max(webhookd_lag_seconds{{{_ONE}}})",
        warning=60,
        critical=300,
    ),
    stat(
        "Lag",
        "Offsets between what is settled and the ends of the partitions; empty while it is unknown.",
        Unit.COUNT,
        f"sum(webhookd_lag_records{{{_ONE}}})",
        warning=1000,
    ),
    stat(
        "Delivered",
        "Records that the endpoint acknowledges.",
        Unit.PER_S,
        f"sum(rate(webhookd_records_delivered_total{{{_ONE}}}[$__rate_interval]))",
    ),
    stat(
        "Certificate valid for",
        "How long the certificate of the endpoint is still valid; negative when it has expired, empty without TLS.",
        Unit.SECONDS,
        f"min(webhookd_endpoint_certificate_expiry_timestamp_seconds{{{_ONE}}}) - time()",
    ),
    stat(
        "Certificate warning in",
        "In what time the owner is warned that the certificate of the endpoint expires; negative since then.",
        Unit.SECONDS,
        f"min(webhookd_endpoint_certificate_warning_timestamp_seconds{{{_ONE}}}) - time()",
    ),
    stat(
        "Dead letters",
        "Records that became dead letters in the time shown.",
        Unit.COUNT,
        f"sum(increase(webhookd_records_dead_lettered_total{{{_ONE}}}[$__range]))",
        warning=1,
    ),
)

_RECORDS = (
    series(
        "Records",
        "What becomes of the records that are read. `read` counts those that are read again, too.",
        Unit.PER_S,
        {
            name: f"sum(rate(webhookd_records_{name}_total{{{_ONE}}}[$__rate_interval]))"
            for name in ("read", "matched", "filtered", "denied", "delivered")
        },
    ),
    series(
        "Records that are not delivered",
        "Dead letters, and records that Kafka had deleted before webhookd could read them.",
        Unit.PER_S,
        {
            name: f"sum(rate(webhookd_records_{name.replace(' ', '_')}_total{{{_ONE}}}[$__rate_interval]))"
            for name in ("dead lettered", "lost")
        },
    ),
)

_LAG = (
    series(
        "Lag in records",
        "Offsets between what is settled and the ends of the partitions.",
        Unit.COUNT,
        {"lag": f"sum(webhookd_lag_records{{{_ONE}}})"},
    ),
    series(
        "Lag in seconds",
        "The age of the oldest record that is read and not settled.",
        Unit.SECONDS,
        {"lag": f"max(webhookd_lag_seconds{{{_ONE}}})"},
        critical=300,
    ),
    series(
        "Time to catch up",
        "Lag divided by the rate of the last 5 min at which records are settled. Empty while nothing is settled.",
        Unit.SECONDS,
        {
            "time": f"sum(webhookd_lag_records{{{_ONE}}}) / (sum("
            f"rate(webhookd_records_delivered_total{{{_ONE}}}[5m])"
            f" + rate(webhookd_records_filtered_total{{{_ONE}}}[5m])"
            f" + rate(webhookd_records_denied_total{{{_ONE}}}[5m])"
            f" + rate(webhookd_records_dead_lettered_total{{{_ONE}}}[5m])) > 0)"
        },
    ),
    series(
        "Unhealthy",
        "By the reason of the status.",
        Unit.COUNT,
        {"{{reason}}": f"sum by (reason) (webhookd_subscription_unhealthy{{{_ONE}}})"},
        stacked=True,
    ),
)

SUBSCRIPTION: Final = Dashboard(
    uid="webhookd-subscription",
    title="webhookd: one subscription",
    description="The way of the records of one subscription. GET /1/Subscription/{id}/Status says more about now.",
    rows={"Now": _NOW, "Records": _RECORDS, "Lag and health": _LAG},
    by_subscription=True,
)
