"""The metrics of several processes: what they run, and the services that they call."""

from typing import Final

from webhookd.metrics.catalogue.buckets import CALL_S
from webhookd.metrics.declaration import Counter, Gauge, Histogram, Process

BUILD_INFO: Final = Gauge(
    "webhookd_build_info",
    "Always 1; the labels say which version runs, as which process, on which Python.",
    labels=("version", "process", "python"),
    mode="mostrecent",
)
CALL_DURATION: Final = Histogram(
    "webhookd_call_duration_seconds",
    "How long calls of a service took, those that failed included. `service` is `database`, `redis` or `kafka`.",
    labels=("service", "operation"),
    buckets=CALL_S,
)
CALL_ERRORS: Final = Counter(
    "webhookd_call_errors_total",
    "Calls of a service that failed because it is absent, too slow or refuses; `code` as in the page Codes.",
    labels=("service", "operation", "code"),
)
EGRESS_REFUSALS: Final = Counter(
    "webhookd_egress_refusals_total",
    "Connections that a rule of this installation refused before anything was sent; `code` is `url_refused` or "
    "`address_refused`, `rule` the rule.",
    labels=("code", "rule"),
    processes=frozenset({Process.WORKER}),
)

SERVICES: Final = (BUILD_INFO, CALL_DURATION, CALL_ERRORS, EGRESS_REFUSALS)
