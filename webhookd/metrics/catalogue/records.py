"""The metrics of an ingest process by subscription: records on their way, lag and health.

The label `subscription` has a bounded number of values: `WEBHOOKD_METRICS_SUBSCRIPTIONS` of them have series of their
own, unhealthy ones first, then those with the most traffic. The others share the value `other`. The counters of as many
that have lost their series are shown for another minute (series_totals.py).
"""

from typing import Final

from webhookd.metrics.declaration import Process, Sampled

_INGEST: Final = frozenset({Process.INGEST})
_LABELS: Final = ("subscription",)


def _counter(name: str, help_text: str) -> Sampled:
    return Sampled("counter", name, help_text, labels=_LABELS, processes=_INGEST)


def _gauge(name: str, help_text: str) -> Sampled:
    return Sampled("gauge", name, help_text, labels=_LABELS, processes=_INGEST)


RECORDS_READ: Final = _counter(
    "webhookd_records_read_total",
    "Records read from Kafka, those that are read again after a rewind or a restart included.",
)
RECORDS_MATCHED: Final = _counter(
    "webhookd_records_matched_total",
    "Records that the policies allow and the filters match: they will be sent. Those read again count again.",
)
RECORDS_FILTERED: Final = _counter(
    "webhookd_records_filtered_total", "Records that a filter dropped. Those read again count again."
)
RECORDS_DENIED: Final = _counter(
    "webhookd_records_denied_total",
    "Records that no policy allows the tenant to see. Those read again count again.",
)
RECORDS_DELIVERED: Final = _counter("webhookd_records_delivered_total", "Records that an endpoint acknowledged.")
RECORDS_DEAD_LETTERED: Final = _counter("webhookd_records_dead_lettered_total", "Records stored as dead letters.")
RECORDS_LOST: Final = _counter(
    "webhookd_records_lost_total", "Offsets that Kafka had deleted before webhookd could read them."
)
LAG_RECORDS: Final = _gauge(
    "webhookd_lag_records",
    "Offsets between what is settled and the ends of the partitions, as `lag` in the status; for `other` the sum. "
    "Absent while it is unknown.",
)
LAG_SECONDS: Final = _gauge(
    "webhookd_lag_seconds",
    "The age of the oldest record that is read and not settled, by Kafka's timestamp; 0 without any; for `other` the "
    "greatest. While a circuit is open, that of the record at which its lane stopped; after a restart it counts from "
    "when the endpoint began to fail, until the record is read again.",
)
UNHEALTHY: Final = Sampled(
    "gauge",
    "webhookd_subscription_unhealthy",
    "1 for each unhealthy subscription, with the reason of its status; for `other` how many have this reason.",
    labels=("subscription", "reason"),
    processes=_INGEST,
)
CERTIFICATE_EXPIRY: Final = _gauge(
    "webhookd_endpoint_certificate_expiry_timestamp_seconds",
    "When the certificate of the endpoint expires, in seconds since 1970; for `other` the first one that expires.",
)
CERTIFICATE_WARNING: Final = _gauge(
    "webhookd_endpoint_certificate_warning_timestamp_seconds",
    "When the owner is warned that the certificate of the endpoint expires, in seconds since 1970: 14 days before, or "
    "when a quarter of its lifetime is left if that is later; for `other` the first warning.",
)

RECORDS: Final = (
    RECORDS_READ,
    RECORDS_MATCHED,
    RECORDS_FILTERED,
    RECORDS_DENIED,
    RECORDS_DELIVERED,
    RECORDS_DEAD_LETTERED,
    RECORDS_LOST,
    LAG_RECORDS,
    LAG_SECONDS,
    UNHEALTHY,
    CERTIFICATE_EXPIRY,
    CERTIFICATE_WARNING,
)
