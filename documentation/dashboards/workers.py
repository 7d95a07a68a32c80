"""The dashboard of the queues, the deliveries in them, and the workers that carry them out."""

from typing import Final

from documentation.dashboards.dashboard import Dashboard
from documentation.dashboards.panels import Unit, series, stat
from documentation.dashboards.quantiles import quantiles
from documentation.dashboards.request_panels import DURATION, REQUESTS

_NOW = (
    stat(
        "Workers",
        "Workers with a heartbeat, by the queue that they consume.",
        Unit.COUNT,
        "max by (queue) (webhookd_live_workers)",
        legend="{{queue}}",
    ),
    stat(
        "Tasks that wait",
        "Tasks in each queue in Redis.",
        Unit.COUNT,
        "max by (queue) (webhookd_queue_tasks)",
        legend="{{queue}}",
        warning=100,
    ),
    stat(
        "Busy threads",
        "The share of the threads that carry out a task, by job.",
        Unit.SHARE,
        "sum by (job) (webhookd_worker_threads_busy) / (sum by (job) (webhookd_worker_threads) > 0)",
        legend="{{job}}",
        warning=0.8,
        critical=0.95,
    ),
    stat(
        "Retries that are due",
        "Retries whose countdown is over and that no worker has claimed yet.",
        Unit.COUNT,
        "sum(webhookd_retries_due)",
        warning=100,
    ),
    stat(
        "Leases expired",
        "Deliveries that lost their worker in the time shown.",
        Unit.COUNT,
        "sum(increase(webhookd_leases_expired_total[$__range]))",
        warning=1,
    ),
    stat(
        "Acknowledged",
        "Bytes of the bodies that endpoints acknowledge.",
        Unit.BYTES_PER_S,
        "sum(rate(webhookd_acknowledged_bytes_total[$__rate_interval]))",
    ),
)

_QUEUES = (
    series(
        "Tasks that wait in a queue",
        "The greatest number that an ingest process has seen.",
        Unit.COUNT,
        {"{{queue}}": "max by (queue) (webhookd_queue_tasks)"},
    ),
    series(
        "Tasks taken from a queue",
        "None while tasks wait: the workers are stuck.",
        Unit.PER_S,
        {"{{queue}}": "sum by (queue) (rate(webhookd_tasks_taken_total[$__rate_interval]))"},
    ),
    series(
        "Wait in a queue",
        "From the publication of a delivery, or from when its retry was due, until the first report of a worker has "
        "arrived.",
        Unit.SECONDS,
        quantiles("webhookd_task_wait_seconds", by="queue"),
        critical=10,
    ),
    series(
        "Worker threads",
        "Those that carry out a task, and all.",
        Unit.COUNT,
        {
            "{{job}} busy": "sum by (job) (webhookd_worker_threads_busy)",
            "{{job}} all": "sum by (job) (webhookd_worker_threads)",
        },
    ),
)

_DELIVERIES = (
    series(
        "Deliveries in flight",
        "By stage, as ingest sees them.",
        Unit.COUNT,
        {"{{stage}}": "sum by (stage) (webhookd_deliveries_in_flight)"},
        stacked=True,
    ),
    series(
        "Deliveries published",
        "`true`: again, because no worker had claimed them in time, or because their first publication had failed.",
        Unit.PER_S,
        {"again: {{again}}": "sum by (again) (rate(webhookd_deliveries_published_total[$__rate_interval]))"},
    ),
    series(
        "Delivery sessions",
        "Deliveries that were pushed to an open task, without a task of their own; and the tasks that stayed open.",
        Unit.PER_S,
        {
            "deliveries pushed": "sum(rate(webhookd_deliveries_pushed_total[$__rate_interval]))",
            "sessions opened": "sum(rate(webhookd_sessions_opened_total[$__rate_interval]))",
        },
    ),
    series(
        "Deliveries that left a worker",
        "By the kind of their report, or why there was none.",
        Unit.PER_S,
        {"{{kind}}": "sum by (kind) (rate(webhookd_deliveries_ended_total[$__rate_interval]))"},
    ),
    series(
        "Reports that ended an attempt of a delivery",
        "By kind, as ingest has received them. A lasting difference to the panel beside: reports are lost.",
        Unit.PER_S,
        {"{{kind}}": "sum by (kind) (rate(webhookd_deliveries_reported_total[$__rate_interval]))"},
    ),
    series(
        "Retries due, and leases expired",
        "Retries that wait for a worker; deliveries per second that lost their worker.",
        Unit.COUNT,
        {
            "retries due": "sum(webhookd_retries_due)",
            "leases expired per second": "sum(rate(webhookd_leases_expired_total[$__rate_interval]))",
        },
    ),
    series(
        "Records of a batch",
        "Batches that endpoints acknowledged.",
        Unit.COUNT,
        {
            "mean": "sum(rate(webhookd_batch_records_sum[$__rate_interval]))"
            " / (sum(rate(webhookd_batch_records_count[$__rate_interval])) > 0)",
            **quantiles("webhookd_batch_records"),
        },
    ),
)

_REQUESTS = (
    REQUESTS,
    DURATION,
    series(
        "Connections to endpoints",
        "By state.",
        Unit.COUNT,
        {"{{state}}": "sum by (state) (webhookd_connections)"},
        stacked=True,
    ),
    series(
        "Connections opened",
        "Nearly as many as requests: endpoints do not keep connections alive, and each request pays for a new one.",
        Unit.PER_S,
        {"{{scheme}}": "sum by (scheme) (rate(webhookd_connections_opened_total[$__rate_interval]))"},
    ),
    series(
        "Requests for access tokens",
        "By result: `granted`, or the code of the failure.",
        Unit.REQUESTS_PER_S,
        {"{{result}}": "sum by (result) (rate(webhookd_token_requests_total[$__rate_interval]))"},
    ),
    series(
        "Refused by the rules of this installation",
        "URLs and addresses that were refused before anything was sent, by the rule.",
        Unit.PER_S,
        {"{{code}} {{rule}}": "sum by (code, rule) (rate(webhookd_egress_refusals_total[$__rate_interval]))"},
    ),
)

WORKERS: Final = Dashboard(
    uid="webhookd-workers",
    title="webhookd: workers and queues",
    description="The queues in Redis, the deliveries in them, and the workers that carry them out.",
    rows={"Now": _NOW, "Queues": _QUEUES, "Deliveries": _DELIVERIES, "Requests": _REQUESTS},
)
