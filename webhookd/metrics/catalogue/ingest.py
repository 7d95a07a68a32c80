"""The metrics of an ingest process as a whole: lanes, deliveries, commits, mails, and the state of the system."""

from typing import Final

from webhookd.metrics.catalogue.buckets import AGE_S, WAIT_S
from webhookd.metrics.declaration import Counter, Gauge, Process, Sampled

_INGEST: Final = frozenset({Process.INGEST})

# The flow of deliveries.
DELIVERIES_PUBLISHED: Final = Counter(
    "webhookd_deliveries_published_total",
    "Deliveries published as Celery tasks or pushed to open ones; `again` is `true` for those that no worker had "
    "claimed in time, or whose first publication failed. Workers publish retries themselves.",
    labels=("again",),
    processes=_INGEST,
)
DELIVERIES_PUSHED: Final = Counter(
    "webhookd_deliveries_pushed_total",
    "Deliveries pushed to an open task (a delivery session) instead of being published as a task.",
    processes=_INGEST,
)
DELIVERIES_REPORTED: Final = Sampled(
    "counter",
    "webhookd_deliveries_reported_total",
    "Reports that ended an attempt of a delivery, by their `kind`: `finished` (acknowledged as far as it was sent, "
    "also one that was returned unsent), `retry`, `exhausted`, `gone`, `divisible`, `stale`, `unreadable` or "
    "`unusable`.",
    labels=("kind",),
    processes=_INGEST,
)
LEASES_EXPIRED: Final = Counter(
    "webhookd_leases_expired_total",
    "Deliveries without a report for so long that their worker counts as lost; they are sent again.",
    processes=_INGEST,
)
RECORD_AGE: Final = Sampled(
    "histogram",
    "webhookd_record_age_seconds",
    "The age of the first record of a delivery when its acknowledgement arrived, by Kafka's timestamp. One observation "
    "for each delivery.",
    buckets=AGE_S,
    processes=_INGEST,
)
TASK_WAIT: Final = Sampled(
    "histogram",
    "webhookd_task_wait_seconds",
    "From the publication of a delivery to the arrival of the first report of a worker; retries count from when they "
    "were due.",
    labels=("queue",),
    buckets=WAIT_S,
    processes=_INGEST,
)
DELIVERIES_IN_FLIGHT: Final = Sampled(
    "gauge",
    "webhookd_deliveries_in_flight",
    "Deliveries in flight by `stage`: `queued`, `claimed`, `retrying` (waits for its retry) or `dead_lettering`.",
    labels=("stage",),
    processes=_INGEST,
)
RETRIES_DUE: Final = Sampled(
    "gauge",
    "webhookd_retries_due",
    "Retries whose countdown is over and that no worker has claimed yet.",
    processes=_INGEST,
)
LANES: Final = Sampled(
    "gauge",
    "webhookd_lanes",
    "Lanes (a subscription and a partition) by `state`, the first that applies: `circuit_open` (waits for a probe), "
    "`buffer_full` (its partition is paused: it has read more than is sent, or there is no room for dead letters), "
    "`in_flight`, `waiting` (has records to send) or `idle`.",
    labels=("state",),
    processes=_INGEST,
)
LANES_FOLLOWING: Final = Sampled(
    "gauge",
    "webhookd_lanes_following",
    "Lanes that have caught up and are read by the shared reader of this process; the others are read by the consumers "
    "of their subscriptions.",
    processes=_INGEST,
)
RECORDS_WAITING: Final = Sampled(
    "gauge", "webhookd_records_waiting", "Records that are read and wait to be sent.", processes=_INGEST
)
BUFFER_BYTES: Final = Sampled(
    "gauge",
    "webhookd_buffer_bytes",
    "Bytes of records that are read and not settled yet.",
    processes=_INGEST,
)
BUFFER_LIMIT_BYTES: Final = Sampled(
    "gauge",
    "webhookd_buffer_limit_bytes",
    "What the buffers may hold: WEBHOOKD_PROCESS_BUFFER_BYTES.",
    processes=_INGEST,
)

# Kafka.
COMMITS: Final = Counter(
    "webhookd_commits_total",
    "Commits of a partition's offset, by `result`: `committed` or `failed`. A failed one is repeated.",
    labels=("result",),
    processes=_INGEST,
)
REBALANCES: Final = Counter(
    "webhookd_rebalances_total",
    "Changes of the partitions that a consumer has, by `event`: `assigned`, `revoked` or `lost`.",
    labels=("event",),
    processes=_INGEST,
)
SUBSCRIPTIONS: Final = Sampled(
    "gauge",
    "webhookd_subscriptions",
    "Subscriptions of this process by `health` (`healthy` or `unhealthy`) and the state of their `delivery` as in the "
    "page Statuses; `stopped` are those that cannot be run.",
    labels=("health", "delivery"),
    processes=_INGEST,
)

# The process.
LOOP_ITERATION: Final = Sampled(
    "gauge",
    "webhookd_loop_longest_iteration_seconds",
    "The longest iteration of the ingest loop in the last minute. Everything in the process waits for it.",
    processes=_INGEST,
)
OFFLINE: Final = Gauge(
    "webhookd_offline", "1 while an operator has switched deliveries off, else 0.", processes=_INGEST
)

# The system, as every ingest process sees it.
SYSTEM_FAULT: Final = Sampled(
    "gauge",
    "webhookd_system_fault",
    "1 for each fault of the system that this process detects; `code` as in *Faults of the system* in the "
    "page Statuses.",
    labels=("code",),
    processes=_INGEST,
)
QUEUE_TASKS: Final = Sampled(
    "gauge",
    "webhookd_queue_tasks",
    "Tasks that wait in a queue in Redis, without those that a worker holds. Absent while Redis cannot be read.",
    labels=("queue",),
    processes=_INGEST,
)
LIVE_WORKERS: Final = Sampled(
    "gauge",
    "webhookd_live_workers",
    "Workers with a heartbeat that consume a queue. Absent while Redis cannot be read.",
    labels=("queue",),
    processes=_INGEST,
)
LIVE_INGESTS: Final = Gauge(
    "webhookd_live_ingests",
    "Ingest processes with a heartbeat in the database, this one included; 0 while the database cannot be read.",
    processes=_INGEST,
)
API_KEY_EXPIRY: Final = Gauge(
    "webhookd_api_key_expiry_timestamp_seconds",
    "When the first of the valid API keys expires, in seconds since 1970; 0 if none does. Keys that a rotation has "
    "replaced are left out.",
    processes=_INGEST,
)
SIGNING_SECRET_EXPIRY: Final = Gauge(
    "webhookd_signing_secret_expiry_timestamp_seconds",
    "When the first of the old signing secrets, which a rotation has replaced, ceases to sign, in seconds since "
    "1970; 0 without any.",
    processes=_INGEST,
)

# Mails.
MAILS: Final = Counter(
    "webhookd_mails_total",
    "Mails by `result` for each recipient: `delivered`, `refused` (the mail server does not accept the address) or "
    "`given_up` (after three days).",
    labels=("result",),
    processes=_INGEST,
)
MAILS_WAITING: Final = Gauge(
    "webhookd_mails_waiting",
    "Mails in the outbox that are not sent yet, those of all processes, when the database was last read.",
    processes=_INGEST,
)

INGEST: Final = (
    DELIVERIES_PUBLISHED,
    DELIVERIES_PUSHED,
    DELIVERIES_REPORTED,
    LEASES_EXPIRED,
    RECORD_AGE,
    TASK_WAIT,
    DELIVERIES_IN_FLIGHT,
    RETRIES_DUE,
    LANES,
    LANES_FOLLOWING,
    RECORDS_WAITING,
    BUFFER_BYTES,
    BUFFER_LIMIT_BYTES,
    COMMITS,
    REBALANCES,
    SUBSCRIPTIONS,
    LOOP_ITERATION,
    OFFLINE,
    SYSTEM_FAULT,
    QUEUE_TASKS,
    LIVE_WORKERS,
    LIVE_INGESTS,
    API_KEY_EXPIRY,
    SIGNING_SECRET_EXPIRY,
    MAILS,
    MAILS_WAITING,
)
