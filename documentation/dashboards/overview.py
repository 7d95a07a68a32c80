"""The dashboard to begin with: whether everything is delivered, and in time."""

from typing import Final

from documentation.dashboards.dashboard import Dashboard
from documentation.dashboards.panels import Kind, Panel, Unit, series, stat, table
from documentation.dashboards.quantiles import quantiles
from documentation.dashboards.request_panels import DURATION, REQUESTS

_NOW = (
    stat(
        "Delivered",
        "Records that endpoints acknowledge.",
        Unit.PER_S,
        "sum(rate(webhookd_records_delivered_total[$__rate_interval]))",
    ),
    stat(
        "Oldest record",
        "The age of the oldest record that is read and not settled, of all subscriptions.",
        Unit.SECONDS,
        "max(webhookd_lag_seconds)",
        warning=60,
        critical=300,
    ),
    stat(
        "Unhealthy subscriptions",
        "How many subscriptions are unhealthy; those that cannot be run count.",
        Unit.COUNT,
        'sum(webhookd_subscriptions{health="unhealthy"}) or vector(0)',
        warning=1,
        critical=5,
    ),
    stat(
        "Failed requests",
        "The share of requests to endpoints that fail.",
        Unit.SHARE,
        '(sum(rate(webhookd_attempts_total{result!="acknowledged"}[$__rate_interval])) or vector(0))'
        " / (sum(rate(webhookd_attempts_total[$__rate_interval])) > 0)",
        warning=0.05,
        critical=0.25,
    ),
    stat(
        "Faults of the system",
        "How many codes of faults ingest processes report; the dashboard System shows which.",
        Unit.COUNT,
        "count(max by (code) (webhookd_system_fault) > 0) or vector(0)",
        critical=1,
    ),
    Panel(
        title="Deliveries",
        description="Whether an operator has switched deliveries off.",
        unit=Unit.COUNT,
        queries={"deliveries": "max(webhookd_offline)"},
        kind=Kind.STAT,
        names={"0": "online", "1": "offline"},
        critical=1,
    ),
)

_RECORDS = (
    series(
        "Records",
        "What becomes of the records that are read. `read` counts those that are read again, too.",
        Unit.PER_S,
        {
            name: f"sum(rate(webhookd_records_{name.replace(' ', '_')}_total[$__rate_interval]))"
            for name in ("read", "matched", "filtered", "denied", "delivered", "dead lettered", "lost")
        },
    ),
    series(
        "Age of records at their acknowledgement",
        "From Kafka's timestamp of the oldest record of a delivery. It grows while an endpoint fails, and when it has "
        "recovered.",
        Unit.SECONDS,
        quantiles("webhookd_record_age_seconds"),
        critical=300,
    ),
    series(
        "Lag in records",
        "Offsets between what is settled and the ends of the partitions, of all subscriptions.",
        Unit.COUNT,
        {"lag": "sum(webhookd_lag_records)"},
    ),
    series(
        "Lag in seconds",
        "The age of the oldest record that is read and not settled: the ten highest.",
        Unit.SECONDS,
        {"{{subscription}}": "topk(10, max by (subscription) (webhookd_lag_seconds))"},
        critical=300,
    ),
)

_REQUESTS = (REQUESTS, DURATION)

_SUBSCRIPTIONS = (
    series(
        "Subscriptions",
        "By health, and by what their deliveries do.",
        Unit.COUNT,
        {"{{health}}, {{delivery}}": "sum by (health, delivery) (webhookd_subscriptions)"},
        stacked=True,
    ),
    table(
        "Unhealthy subscriptions with their reasons",
        "For `other` the value is how many have the reason. A row leads to the dashboard of the subscription.",
        Unit.COUNT,
        "sum by (subscription, reason) (webhookd_subscription_unhealthy) > 0",
    ),
    table(
        "Lag in records: the 20 highest",
        "A row leads to the dashboard of the subscription.",
        Unit.COUNT,
        "topk(20, sum by (subscription) (webhookd_lag_records))",
    ),
    table(
        "Records delivered per second: the 20 highest",
        "A row leads to the dashboard of the subscription.",
        Unit.PER_S,
        "topk(20, sum by (subscription) (rate(webhookd_records_delivered_total[$__rate_interval])))",
    ),
)

OVERVIEW: Final = Dashboard(
    uid="webhookd-overview",
    title="webhookd: overview",
    description="Is everything delivered, and in time?",
    rows={"Now": _NOW, "Records": _RECORDS, "Requests": _REQUESTS, "Subscriptions": _SUBSCRIPTIONS},
)
