"""The metrics of several processes: what they run, and the services that they call."""

from typing import Final

from webhookd.metrics.catalogue.buckets import CALL_S
from webhookd.metrics.declaration import Counter, Gauge, Histogram

BUILD_INFO: Final = Gauge(
    "webhookd_build_info",
    "Always 1; the labels say which version runs, as which process, on which Python.",
    labels=("version", "process", "python"),
    mode="mostrecent",
)
CALL_DURATION: Final = Histogram(
    "webhookd_call_duration_seconds",
    "How long calls of a service took, those that failed included. `service` is `database` (`transaction`: from the "
    "wait for a connection to the end of the commit; `ping`; and the statements of both by their kind, if they "
    "succeed), `redis` (coordination, `publish` of tasks, `notify` of changes, `rate_limit`; without the wait for "
    "reports) or `kafka` (requests beside reading, and the copies of dead letters).",
    labels=("service", "operation"),
    buckets=CALL_S,
)
CALL_ERRORS: Final = Counter(
    "webhookd_call_errors_total",
    "Calls of a service that failed because it is absent, too slow or refuses; `code` is that of the error, such as "
    "`store_unavailable`, `queue_unavailable` or `kafka_unavailable`.",
    labels=("service", "operation", "code"),
)

SERVICES: Final = (BUILD_INFO, CALL_DURATION, CALL_ERRORS)
