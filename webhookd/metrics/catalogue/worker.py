"""The metrics of a worker: attempts, batches, connections and threads."""

from typing import Final

from webhookd.metrics.catalogue.buckets import ATTEMPT_S, RECORDS_PER_BATCH
from webhookd.metrics.declaration import Counter, Process, Sampled

_WORKER: Final = frozenset({Process.WORKER})

ATTEMPTS: Final = Sampled(
    "counter",
    "webhookd_attempts_total",
    "Attempts to send a batch by `result`: `acknowledged` (counted at the end of the delivery), or the code of the "
    "failure as in the page Codes, also where no request was sent (`address_refused`, `token_refused`); an HTTP "
    "status that has no row of its own there counts as its class (`http_4xx`). Requests that the worker aborted, and "
    "the questions whether an endpoint wants the requests, do not count.",
    labels=("result",),
    processes=_WORKER,
)
ATTEMPT_DURATION: Final = Sampled(
    "histogram",
    "webhookd_attempt_duration_seconds",
    "How long attempts took, name look-up and connecting included, until the response was read or failed; without "
    "those that got no access token.",
    buckets=ATTEMPT_S,
    processes=_WORKER,
)
BATCH_RECORDS: Final = Sampled(
    "histogram",
    "webhookd_batch_records",
    "Records of the batches that endpoints acknowledged; `_sum` is the number of records. Counted at the end of the "
    "delivery.",
    buckets=RECORDS_PER_BATCH,
    processes=_WORKER,
)
ACKNOWLEDGED_BYTES: Final = Sampled(
    "counter",
    "webhookd_acknowledged_bytes_total",
    "Bytes of the bodies that endpoints acknowledged. Counted at the end of the delivery.",
    processes=_WORKER,
)
DELIVERIES_ENDED: Final = Counter(
    "webhookd_deliveries_ended_total",
    "Deliveries that left this worker, by `kind`: that of the report (`finished`: acknowledged as far as it was sent, "
    "also one that was returned unsent; `retry`, `exhausted`, `gone`, `divisible`, `stale`, `unreadable`, `unusable`), "
    "`waiting` (its quota is used up; published again), `unreported` (Redis did not take the report in time) or `lost` "
    "(the log has `delivery_sender_lost`).",
    labels=("kind",),
    processes=_WORKER,
)
THREADS: Final = Sampled(
    "gauge", "webhookd_worker_threads", "Tasks that this worker can carry out at the same time.", processes=_WORKER
)
THREADS_BUSY: Final = Sampled(
    "gauge", "webhookd_worker_threads_busy", "Tasks that this worker carries out.", processes=_WORKER
)
TASKS: Final = Sampled(
    "counter",
    "webhookd_tasks_taken_total",
    "Tasks taken from a queue; a retry counts when it is taken, before its wait.",
    labels=("queue",),
    processes=_WORKER,
)
SESSIONS_OPENED: Final = Counter(
    "webhookd_sessions_opened_total",
    "Tasks that stayed open for further deliveries after their own ones (delivery sessions).",
    processes=_WORKER,
)
CONNECTIONS: Final = Sampled(
    "gauge",
    "webhookd_connections",
    "Connections to endpoints by `state`: `busy` (used, or being opened) or `idle` (kept for the next delivery).",
    labels=("state",),
    processes=_WORKER,
)
CONNECTIONS_OPENED: Final = Counter(
    "webhookd_connections_opened_total",
    "Connections opened to endpoints, by `scheme`: nearly as many as attempts mean that endpoints do not "
    "keep them alive.",
    labels=("scheme",),
    processes=_WORKER,
)
EGRESS_REFUSALS: Final = Counter(
    "webhookd_egress_refusals_total",
    "URLs, and addresses of their hosts, that a rule of this installation refused before anything was sent; `code` is "
    "`url_refused` or `address_refused`, `rule` the rule. A name counts once for each of its refused addresses.",
    labels=("code", "rule"),
    processes=_WORKER,
)
TOKEN_REQUESTS: Final = Counter(
    "webhookd_token_requests_total",
    "Requests for OAuth 2.0 access tokens by `result`: `granted` or the code of the failure.",
    labels=("result",),
    processes=_WORKER,
)

WORKER: Final = (
    ATTEMPTS,
    ATTEMPT_DURATION,
    BATCH_RECORDS,
    ACKNOWLEDGED_BYTES,
    DELIVERIES_ENDED,
    THREADS,
    THREADS_BUSY,
    TASKS,
    SESSIONS_OPENED,
    CONNECTIONS,
    CONNECTIONS_OPENED,
    EGRESS_REFUSALS,
    TOKEN_REQUESTS,
)
