"""The values of the metrics by subscription at one moment, and how they are divided among the labels."""

from collections import Counter
from collections.abc import Iterator, Mapping
from math import inf
from typing import Final

from webhookd.flow.status.delivery_status import DeliveryState
from webhookd.flow.status.endpoint_certificate import EndpointCertificate
from webhookd.flow.status.reason_codes import table_key
from webhookd.flow.status.subscription_status import Health
from webhookd.metrics.catalogue.ingest import SUBSCRIPTIONS
from webhookd.metrics.catalogue.records import (
    CERTIFICATE_EXPIRY,
    CERTIFICATE_WARNING,
    LAG_RECORDS,
    LAG_SECONDS,
    RECORDS_DEAD_LETTERED,
    RECORDS_DELIVERED,
    RECORDS_DENIED,
    RECORDS_FILTERED,
    RECORDS_LOST,
    RECORDS_MATCHED,
    RECORDS_READ,
)
from webhookd.metrics.catalogue.records import (
    UNHEALTHY as UNHEALTHY_REASON,
)
from webhookd.metrics.declaration import Sampled
from webhookd.metrics.samples import Sample
from workers.ingest.consumer.subscription_health import RecordIncrements, SubscriptionHealth

COUNTED: Final[Mapping[str, Sampled]] = {
    "read": RECORDS_READ,
    "matched": RECORDS_MATCHED,
    "filtered": RECORDS_FILTERED,
    "denied": RECORDS_DENIED,
    "delivered": RECORDS_DELIVERED,
    "dead_lettered": RECORDS_DEAD_LETTERED,
    "lost": RECORDS_LOST,
}
"""The counters by the fields of RecordIncrements."""

HEALTHY, UNHEALTHY = Health.HEALTHY.value, Health.UNHEALTHY.value


class SubscriptionValues:
    """Made on the ingest loop's thread; read by any thread when no more is added.

    `totals` are the sums of all RecordIncrements, by label.
    """

    def __init__(self, totals: Mapping[str, tuple[int, ...]]) -> None:
        self._totals = totals
        self._lag_records: Counter[str] = Counter()
        self._oldest_ms: dict[str, int | None] = {}
        self._unhealthy: Counter[tuple[str, str]] = Counter()
        self._expires_at: dict[str, float] = {}
        self._warn_at: dict[str, float] = {}
        self._states: dict[tuple[str, str], int] = {}

    def add(self, label: str, health: SubscriptionHealth, oldest_ms: int | None) -> None:
        """Add a subscription that runs; `oldest_ms` is the timestamp of its oldest record that is not settled."""
        if health.lag is not None:
            self._lag_records[label] += health.lag
        self._oldest_ms[label] = earlier(self._oldest_ms.get(label), oldest_ms)
        if health.problems:
            self._unhealthy[label, table_key(health.reason)] += 1
        if health.endpoint_certificate is not None:
            self._add_certificate(label, health.endpoint_certificate)
        self._count(UNHEALTHY if health.problems else HEALTHY, health.delivery.state)

    def add_not_run(self, label: str, reason: str, state: DeliveryState) -> None:
        """Add a subscription that cannot be run; `state` is that of its deliveries."""
        self._unhealthy[label, table_key(reason)] += 1
        self._count(UNHEALTHY, state)

    def _add_certificate(self, label: str, certificate: EndpointCertificate) -> None:
        self._expires_at[label] = min(self._expires_at.get(label, inf), certificate.expires_at)
        self._warn_at[label] = min(self._warn_at.get(label, inf), certificate.warn_at)

    def _count(self, health: str, state: DeliveryState) -> None:
        key = health, state.value
        self._states[key] = self._states.get(key, 0) + 1

    def samples(self, now: float) -> Iterator[Sample]:
        """Return the samples; `now` is in seconds since the epoch."""
        for label, totals in self._totals.items():
            for field, total in zip(RecordIncrements._fields, totals, strict=True):
                yield Sample(COUNTED[field], (label,), total)
        for label, records in self._lag_records.items():
            yield Sample(LAG_RECORDS, (label,), records)
        for label, oldest_ms in self._oldest_ms.items():
            yield Sample(LAG_SECONDS, (label,), 0.0 if oldest_ms is None else max(0.0, now - oldest_ms / 1000))
        for labels, number in self._unhealthy.items():
            yield Sample(UNHEALTHY_REASON, labels, number)
        for label, expires_at in self._expires_at.items():
            yield Sample(CERTIFICATE_EXPIRY, (label,), expires_at)
        for label, warn_at in self._warn_at.items():
            yield Sample(CERTIFICATE_WARNING, (label,), warn_at)
        for labels, number in self._states.items():
            yield Sample(SUBSCRIPTIONS, labels, number)


def earlier(one: int | None, other: int | None) -> int | None:
    """Return the earlier of two times, of which each may be absent."""
    return other if one is None else one if other is None else min(one, other)
