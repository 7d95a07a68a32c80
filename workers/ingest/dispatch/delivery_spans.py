"""The spans of deliveries (OpenTelemetry): one for each sampled delivery, from reading to the end of the delivery.

    start   when its oldest record was read; if that is not known, when it is published
    events  `claimed` by a worker; `retry_scheduled`, with the code of the failure and the wait; `limit_reached`, with
            what is used up and the wait
    end     when the report that ends it is applied; otherwise within a sweep (0.05 s) after it has ended

Each is the root of a trace. It links to the first record's trace context, whose flag may have decided that it is
sampled. Its own context goes to the worker in the task (DeliveryRef.traceparent), whose spans are its children.

Attributes follow OpenTelemetry's conventions for messaging; `webhookd.…` has what these do not name. A delivery that
is not sampled costs one decision. A fault in tracing is logged, and ends the span of its delivery, nothing else.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite

from opentelemetry.trace import Link, Span, SpanKind, StatusCode, Tracer
from opentelemetry.util.types import AttributeValue

from webhookd import logs
from webhookd.clock import Monotonic, WallClock
from webhookd.edges.trace_context import NS, remote_context, traceparent_of
from webhookd.flow.attempt.attempt_report import Report, ReportKind
from webhookd.flow.batching.trace_headers import first_traceparent
from webhookd.flow.dispatch.delivery import Delivery, DeliveryStage
from webhookd.flow.dispatch.trace_sampling import TraceSampling
from webhookd.flow.settlement.in_flight import InFlightDeliveries
from webhookd.flow.subscription import Subscription

DELIVERED = "delivered"
RETURNED = "returned"
DEAD_LETTERED = "dead_lettered"
SUPERSEDED = "superseded"
STOPPED = "stopped"
LEASE_EXPIRED = "lease_expired"

NO_ERRORS = frozenset({DELIVERED, RETURNED, SUPERSEDED, STOPPED, "stale"})
"""How a delivery may end without an error of the endpoint or of webhookd."""

_log = logs.get(__name__)


class DeliverySpans:
    """The open spans of the deliveries in flight. Owned by the ingest loop's thread."""

    def __init__(self, tracer: Tracer, sampling: TraceSampling, monotonic: Monotonic, wall: WallClock) -> None:
        self._tracer = tracer
        self._sampling = sampling
        self._monotonic = monotonic
        self._wall = wall
        self._open: dict[str, tuple[Delivery, Span]] = {}

    def begin(self, delivery: Delivery, subscription: Subscription) -> None:
        """Begin the span of a delivery that is about to be published, if it is sampled; sets `delivery.traceparent`."""
        try:
            if self._sampling.samples(delivery):
                self._begin(delivery, subscription)
        except Exception:  # noqa: BLE001 - a fault in tracing must not keep a delivery from being published
            self._drop(delivery)

    def _begin(self, delivery: Delivery, subscription: Subscription) -> None:
        topics = sorted({lane.partition.topic for lane in delivery.lanes})
        span = self._tracer.start_span(
            f"deliver {topics[0]}" if len(topics) == 1 else "deliver",
            kind=SpanKind.CONSUMER,
            attributes=_attributes(delivery, subscription, topics),
            links=_links(delivery),
            start_time=self._started_ns(delivery.read_at),
        )
        delivery.traceparent = traceparent_of(span)
        if delivery.traceparent:
            self._open[delivery.id] = (delivery, span)

    def reported(self, delivery: Delivery, report: Report, *, ended: bool) -> None:
        """Note a report that was applied; `ended` is True if the delivery is not in flight any more."""
        found = self._open.get(delivery.id)
        if found is None:
            return
        with self._guarded(delivery):
            _note(found[1], report)
            if ended:
                self._end(delivery, _outcome(delivery, report.kind))

    def lost(self, delivery: Delivery, *, ended: bool) -> None:
        """Note that the worker of a delivery was lost; it has not ended if its failed batch is to be dead-lettered."""
        found = self._open.get(delivery.id)
        if found is None:
            return
        with self._guarded(delivery):
            found[1].set_attribute("error.type", LEASE_EXPIRED)
            if ended:
                self._end(delivery, LEASE_EXPIRED)

    def sweep(self, in_flight: InFlightDeliveries) -> None:
        """End the spans of deliveries that have ended without a report: dead-lettered or superseded."""
        for delivery, _ in [found for found in self._open.values() if found[0] not in in_flight]:
            stored = delivery.stage is DeliveryStage.DEAD_LETTERING and delivery.done == len(delivery.batches)
            with self._guarded(delivery):
                self._end(delivery, DEAD_LETTERED if stored else SUPERSEDED)

    def stop(self) -> None:
        """End all spans: what is still in flight is sent again by another process."""
        for delivery, _ in list(self._open.values()):
            with self._guarded(delivery):
                self._end(delivery, STOPPED)

    @contextmanager
    def _guarded(self, delivery: Delivery) -> Iterator[None]:
        try:
            yield
        except Exception:  # noqa: BLE001 - a fault in tracing must not keep a report from being settled, nor a stop
            self._drop(delivery)

    def _drop(self, delivery: Delivery) -> None:
        """Forget the span of a delivery, which goes on without one. Called while the fault is handled."""
        self._open.pop(delivery.id, None)
        _log.exception("tracing_failed", subscription=delivery.subscription_id, delivery=delivery.id)

    def _end(self, delivery: Delivery, outcome: str) -> None:
        _, span = self._open.pop(delivery.id)
        span.set_attributes(
            {
                "webhookd.outcome": outcome,
                "webhookd.batches.done": delivery.done,
                "webhookd.attempts": delivery.failures + delivery.attempt + 1,
            }
        )
        if outcome not in NO_ERRORS:
            span.set_status(StatusCode.ERROR, outcome)
        span.end(int(self._wall() * NS))

    def _started_ns(self, read_at: float) -> int:
        waited_s = self._monotonic() - read_at if isfinite(read_at) else 0.0
        return int((self._wall() - max(0.0, waited_s)) * NS)


def _note(span: Span, report: Report) -> None:
    code = report.failure.error if report.failure is not None else ""
    match report.kind:
        case ReportKind.STARTED:
            span.add_event("claimed")
        case ReportKind.RETRY:
            span.add_event("retry_scheduled", {"error.type": code, "webhookd.wait_s": report.wait_s})
        case ReportKind.WAITING:
            span.add_event("limit_reached", {"webhookd.limited_by": report.detail, "webhookd.wait_s": report.wait_s})
        case _ if code:
            span.set_attribute("error.type", code)


def _links(delivery: Delivery) -> list[Link]:
    traceparent = first_traceparent(delivery.batches[0].body) if any(lane.traced for lane in delivery.lanes) else ""
    return [Link(remote_context(traceparent))] if traceparent else []


def _attributes(delivery: Delivery, subscription: Subscription, topics: list[str]) -> dict[str, AttributeValue]:
    facts: dict[str, AttributeValue] = {
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.operation.name": "deliver",
        "messaging.consumer.group.name": f"webhooks-{delivery.subscription_id}",
        "messaging.batch.message_count": sum(batch.records for batch in delivery.batches),
        "webhookd.delivery.id": delivery.id,
        "webhookd.subscription.id": delivery.subscription_id,
        "webhookd.subscription.version": delivery.version,
        "webhookd.tenant": subscription.tenant,
        "webhookd.lanes": [lane.name for lane in delivery.lanes],
        "webhookd.batches": len(delivery.batches),
        "webhookd.probe": delivery.probe,
    }
    if len(topics) == 1:
        facts["messaging.destination.name"] = topics[0]
    if len(delivery.lanes) == 1:
        facts |= _of_lane(delivery)
    return facts


def _of_lane(delivery: Delivery) -> dict[str, AttributeValue]:
    """What only a delivery of one lane has: its partition, and its first and last offset."""
    lane = delivery.lanes[0]
    first, last = lane.ledger.open_range(sum(batch.records for batch in delivery.batches))
    return {
        "messaging.destination.partition.id": str(lane.partition.number),
        "messaging.kafka.offset": first,
        "webhookd.last_offset": last,
    }


def _outcome(delivery: Delivery, kind: ReportKind) -> str:
    if kind is ReportKind.FINISHED:
        return DELIVERED if delivery.done else RETURNED
    return kind.code
