"""The dashboard of the processes, the services that they call, Kafka, the mails and the API."""

from typing import Final

from documentation.dashboards.dashboard import Dashboard
from documentation.dashboards.panels import Unit, series, stat, table

_JOBS = 'job=~"webhookd.*"'

_NOW = (
    stat(
        "Processes that are down",
        "Processes that Prometheus knows and does not reach.",
        Unit.COUNT,
        f"count(up{{{_JOBS}}} == 0) or vector(0)",
        critical=1,
    ),
    stat("Ingest processes", "Those with a heartbeat in the database.", Unit.COUNT, "max(webhookd_live_ingests)"),
    stat(
        "Mails that wait",
        "Mails that are not sent yet.",
        Unit.COUNT,
        "max(webhookd_mails_waiting)",
        warning=1,
    ),
    stat(
        "Failed commits",
        "The share of the commits to Kafka that fail.",
        Unit.SHARE,
        '(sum(rate(webhookd_commits_total{result="failed"}[$__rate_interval])) or vector(0))'
        " / (sum(rate(webhookd_commits_total[$__rate_interval])) > 0)",
        warning=0.01,
        critical=0.1,
    ),
    stat(
        "Next API key expires in",
        "Empty when no key expires.",
        Unit.SECONDS,
        "min(webhookd_api_key_expiry_timestamp_seconds > 0) - time()",
    ),
    stat(
        "Next old secret ends in",
        "The first of the signing secrets that were replaced ceases to sign; empty without any.",
        Unit.SECONDS,
        "min(webhookd_signing_secret_expiry_timestamp_seconds > 0) - time()",
    ),
)

_FAULTS = (
    table(
        "Faults of the system",
        "The codes that ingest processes report; the page Statuses of the reference says what each one means.",
        Unit.COUNT,
        "max by (code) (webhookd_system_fault) > 0",
    ),
    table(
        "Processes",
        "What runs: 1 for each version and kind of process.",
        Unit.COUNT,
        "count by (process, version, python) (webhookd_build_info)",
    ),
)

_SERVICES = (
    series(
        "Calls of services: 99th percentile",
        "Those that failed included.",
        Unit.SECONDS,
        {
            "{{service}} {{operation}}": "histogram_quantile(0.99, sum by (service, operation, le) "
            "(rate(webhookd_call_duration_seconds_bucket[$__rate_interval])))"
        },
    ),
    series(
        "Calls of services that failed",
        "By the service, the operation and the code.",
        Unit.PER_S,
        {
            "{{service}} {{operation}} {{code}}": "sum by (service, operation, code) "
            "(rate(webhookd_call_errors_total[$__rate_interval]))"
        },
    ),
    series(
        "Commits to Kafka",
        "By result. A failed one is repeated.",
        Unit.PER_S,
        {"{{result}}": "sum by (result) (rate(webhookd_commits_total[$__rate_interval]))"},
    ),
    series(
        "Changes of partitions",
        "`assigned` and `revoked` when processes start and stop; `lost` when Kafka has excluded a consumer.",
        Unit.PER_S,
        {"{{event}}": "sum by (event) (rate(webhookd_rebalances_total[$__rate_interval]))"},
    ),
    series(
        "Mails",
        "By result, for each recipient.",
        Unit.PER_S,
        {"{{result}}": "sum by (result) (rate(webhookd_mails_total[$__rate_interval]))"},
    ),
)

_INGEST = (
    series(
        "Longest iteration of the ingest loop",
        "In the last minute. All subscriptions of the process wait for it.",
        Unit.SECONDS,
        {"{{instance}}": "webhookd_loop_longest_iteration_seconds"},
        warning=0.2,
        critical=1,
    ),
    series(
        "Buffers",
        "Of what they may hold. When they are full, partitions are paused.",
        Unit.SHARE,
        {"{{instance}}": "webhookd_buffer_bytes / webhookd_buffer_limit_bytes"},
        critical=0.9,
    ),
    series(
        "Lanes",
        "A lane is a subscription and a partition.",
        Unit.COUNT,
        {"{{state}}": "sum by (state) (webhookd_lanes)"},
        stacked=True,
    ),
    series(
        "Lanes that have caught up",
        "They are read by the shared reader, the others by their own consumers.",
        Unit.COUNT,
        {
            "caught up": "sum(webhookd_lanes_following)",
            "all": "sum(webhookd_lanes)",
        },
    ),
    series(
        "Records that wait",
        "They are read and wait to be sent.",
        Unit.COUNT,
        {"{{instance}}": "webhookd_records_waiting"},
    ),
)

_API = (
    series(
        "Requests to the API",
        "By status.",
        Unit.REQUESTS_PER_S,
        {"{{status}}": "sum by (status) (rate(webhookd_api_requests_total[$__rate_interval]))"},
        stacked=True,
    ),
    series(
        "Duration of requests to the API: 99th percentile",
        "By operation.",
        Unit.SECONDS,
        {
            "{{operation}}": "histogram_quantile(0.99, sum by (operation, le) "
            "(rate(webhookd_api_request_duration_seconds_bucket[$__rate_interval])))"
        },
    ),
    series(
        "Requests that the API works on",
        "Of all API processes.",
        Unit.COUNT,
        {"{{instance}}": "webhookd_api_requests_open"},
    ),
    series(
        "Requests refused before the application",
        "Malformed, too large, too slow, or too many: by status.",
        Unit.REQUESTS_PER_S,
        {"{{status}}": "sum by (status) (rate(webhookd_api_requests_refused_total[$__rate_interval]))"},
    ),
)

_PROCESSES = (
    series(
        "Memory",
        "Resident memory of each process.",
        Unit.BYTES,
        {"{{job}} {{instance}}": f"process_resident_memory_bytes{{{_JOBS}}}"},
    ),
    series(
        "CPU",
        "Cores that a process uses.",
        Unit.COUNT,
        {"{{job}} {{instance}}": f"rate(process_cpu_seconds_total{{{_JOBS}}}[$__rate_interval])"},
    ),
    series(
        "Open files",
        "Of as many as a process may have; connections are files.",
        Unit.SHARE,
        {"{{job}} {{instance}}": f"process_open_fds{{{_JOBS}}} / process_max_fds{{{_JOBS}}}"},
        critical=0.8,
    ),
    series(
        "Garbage collections",
        "Of Python's oldest generation.",
        Unit.PER_S,
        {"{{job}} {{instance}}": f'rate(python_gc_collections_total{{{_JOBS}, generation="2"}}[$__rate_interval])'},
    ),
)

SYSTEM: Final = Dashboard(
    uid="webhookd-system",
    title="webhookd: system",
    description="The processes, the services that they call, Kafka, mails and the API.",
    rows={
        "Now": _NOW,
        "Faults and processes": _FAULTS,
        "Services": _SERVICES,
        "Ingest": _INGEST,
        "API": _API,
        "Processes": _PROCESSES,
    },
)
