"""The spans of deliveries in ingest. Real: the accumulator, the deliveries in flight, OpenTelemetry's SDK in memory."""

from collections.abc import Callable, Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode
from structlog.testing import capture_logs

from tests.harness.lanes import FAILED, WANTED, Record, about, accumulator, fill, in_flight_deliveries, lane_of
from tests.harness.spans import PARENT, UNSAMPLED, Spans, attributes, linked, parent_id, traceparent
from tests.harness.subscriptions import ID
from webhookd.flow.attempt.attempt_report import ReportKind
from webhookd.flow.dispatch.accumulator import BatchAccumulator
from webhookd.flow.dispatch.delivery import Delivery
from webhookd.flow.dispatch.trace_sampling import TraceSampling
from webhookd.flow.subscription import OnExhausted
from workers.ingest.dispatch.delivery_spans import DeliverySpans

EVERY = TraceSampling(ratio=1.0, parent_based=True, chance=lambda: 0.5)
NONE = TraceSampling(ratio=0.0, parent_based=True, chance=lambda: 0.0)
WALL = 1_700_000_000.0


class Scene:
    """Deliveries of an accumulator, and their spans; the clocks go together."""

    def __init__(self, of: BatchAccumulator, sampling: TraceSampling = EVERY) -> None:
        self.now = 100.0
        self.spans = Spans()
        self.in_flight = in_flight_deliveries()
        self.deliveries = DeliverySpans(self.spans.tracer, sampling, lambda: self.now, lambda: WALL + self.now)
        self.accumulator = of

    def publish(self) -> Delivery:
        """Publish the only delivery that is ready."""
        (delivery,) = self.accumulator.ready(self.now)
        self.deliveries.begin(delivery, self.accumulator.subscription)
        self.in_flight.published(delivery, self.now)
        return delivery

    def report(self, delivery: Delivery, kind: ReportKind, done: int = 0) -> None:
        """Apply a report to a delivery, as settlement does."""
        failure = FAILED if kind in {ReportKind.RETRY, ReportKind.EXHAUSTED, ReportKind.GONE} else None
        report = about(delivery, kind, done, failure=failure, wait_s=2.0 if kind is ReportKind.RETRY else 0.0)
        self.in_flight.apply(report, self.now)
        self.deliveries.reported(delivery, report, ended=delivery not in self.in_flight)

    @property
    def outcomes(self) -> list[object]:
        """How the deliveries whose spans have ended ended."""
        return [attributes(span)["webhookd.outcome"] for span in self.spans.ended]


def filled(parents: Sequence[str] = ("",), *, size: int = 1, **facts: OnExhausted) -> BatchAccumulator:
    """One lane with a record for each of these traceparents, read at 99."""
    made = accumulator(size=size, **facts)  # type: ignore[arg-type]  # on_exhausted only
    pairs = [(("traceparent", parent.encode()),) if parent else () for parent in parents]
    lane_of(made).take([Record(40 + at, pairs=pair) for at, pair in enumerate(pairs)], WANTED, 99.0)
    return made


def seconds(span: ReadableSpan) -> tuple[float, float]:
    """When it began and ended, by the test's monotonic clock."""
    assert span.start_time is not None
    assert span.end_time is not None
    return span.start_time / 1e9 - WALL, span.end_time / 1e9 - WALL


def test_span_begins_when_the_oldest_record_is_read_and_ends_when_its_delivery_is_settled() -> None:
    scene = Scene(filled())
    delivery = scene.publish()
    scene.now = 103.0
    scene.report(delivery, ReportKind.STARTED)
    assert scene.spans.ended == ()
    scene.report(delivery, ReportKind.FINISHED, 1)
    assert seconds(scene.spans.only) == pytest.approx((99.0, 103.0), abs=1e-5)


def test_span_is_the_root_of_the_trace_that_goes_to_the_worker() -> None:
    scene = Scene(filled([PARENT]))
    delivery = scene.publish()
    scene.report(delivery, ReportKind.FINISHED, 1)
    span = scene.spans.only
    assert (delivery.ref("ingest").traceparent, parent_id(span)) == (traceparent(span), "")
    assert linked(span) == [PARENT]


def test_span_has_the_facts_of_messaging() -> None:
    scene = Scene(filled(["", "", ""], size=2))
    delivery = scene.publish()
    scene.report(delivery, ReportKind.FINISHED, 1)
    span = scene.spans.only
    assert (span.name, span.kind) == ("deliver orders", SpanKind.CONSUMER)
    assert dict(attributes(span)) == {
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.operation.name": "deliver",
        "messaging.destination.name": "orders",
        "messaging.destination.partition.id": "0",
        "messaging.kafka.offset": 40,
        "messaging.batch.message_count": 2,
        "messaging.consumer.group.name": f"webhooks-{ID}",
        "webhookd.last_offset": 41,
        "webhookd.delivery.id": delivery.id,
        "webhookd.subscription.id": ID,
        "webhookd.subscription.version": 1,
        "webhookd.tenant": "default",
        "webhookd.lanes": ("orders/0",),
        "webhookd.batches": 1,
        "webhookd.batches.done": 1,
        "webhookd.probe": False,
        "webhookd.attempts": 1,
        "webhookd.outcome": "delivered",
    }
    assert span.status.status_code is StatusCode.UNSET


def test_mixed_delivery_names_its_lanes_and_begins_with_its_oldest_record() -> None:
    made = accumulator(2, size=4)
    fill(made, 0, [7], now=98.0)
    fill(made, 1, [8], now=97.0)
    scene = Scene(made)
    delivery = scene.publish()
    scene.report(delivery, ReportKind.FINISHED, 1)
    span = scene.spans.only
    assert set(attributes(span)["webhookd.lanes"]) == {"orders/0", "orders/1"}  # type: ignore[arg-type]  # a tuple
    assert "messaging.destination.partition.id" not in attributes(span)
    assert seconds(span)[0] == pytest.approx(97.0, abs=1e-5)


def test_returned_batches_are_traced_from_their_publication() -> None:
    scene = Scene(filled(["", ""]))
    first = scene.publish()
    scene.report(first, ReportKind.FINISHED, 1)
    scene.now = 105.0
    scene.publish()
    scene.deliveries.stop()
    assert seconds(scene.spans.ended[1])[0] == pytest.approx(105.0, abs=1e-5)


def test_retry_belongs_to_the_same_trace() -> None:
    scene = Scene(filled())
    delivery = scene.publish()
    trace = delivery.traceparent
    scene.report(delivery, ReportKind.RETRY)
    assert (scene.spans.ended, delivery.ref("ingest").traceparent) == ((), trace)
    scene.report(delivery, ReportKind.FINISHED, 1)
    span = scene.spans.only
    assert [(event.name, dict(event.attributes or {})) for event in span.events] == [
        ("retry_scheduled", {"error.type": "http_500", "webhookd.wait_s": 2.0})
    ]
    assert (attributes(span)["webhookd.attempts"], traceparent(span)) == (2, trace)


def test_wait_for_a_worker_and_for_a_limit_are_events() -> None:
    scene = Scene(filled())
    delivery = scene.publish()
    waiting = about(delivery, ReportKind.WAITING, wait_s=3.0, detail="host_limit")
    scene.deliveries.reported(delivery, waiting, ended=False)
    scene.report(delivery, ReportKind.STARTED)
    scene.report(delivery, ReportKind.FINISHED, 1)
    assert [(event.name, dict(event.attributes or {})) for event in scene.spans.only.events] == [
        ("limit_reached", {"webhookd.limited_by": "host_limit", "webhookd.wait_s": 3.0}),
        ("claimed", {}),
    ]


@pytest.mark.parametrize(
    ("kind", "outcome", "error"),
    [
        (ReportKind.EXHAUSTED, "exhausted", "http_500"),
        (ReportKind.GONE, "gone", "http_500"),
        (ReportKind.UNREADABLE, "unreadable", None),
    ],
)
def test_failed_delivery_says_how_it_ended(kind: ReportKind, outcome: str, error: str | None) -> None:
    scene = Scene(filled())
    scene.report(scene.publish(), kind)
    span = scene.spans.only
    assert (scene.outcomes, attributes(span).get("error.type")) == ([outcome], error)
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, outcome)


@pytest.mark.parametrize(("kind", "outcome"), [(ReportKind.STALE, "stale"), (ReportKind.FINISHED, "returned")])
def test_delivery_that_was_not_sent_is_no_error(kind: ReportKind, outcome: str) -> None:
    scene = Scene(filled())
    scene.report(scene.publish(), kind)
    assert (scene.outcomes, scene.spans.only.status.status_code) == ([outcome], StatusCode.UNSET)


def test_dead_lettered_delivery_ends_when_its_rows_are_stored() -> None:
    scene = Scene(filled(on_exhausted=OnExhausted.DEAD_LETTER))
    delivery = scene.publish()
    scene.report(delivery, ReportKind.EXHAUSTED)
    scene.deliveries.sweep(scene.in_flight)
    assert scene.outcomes == []
    scene.in_flight.dead_letters_stored(delivery)
    scene.deliveries.sweep(scene.in_flight)
    assert scene.outcomes == ["dead_lettered"]


def test_superseded_delivery_ends_with_the_next_sweep() -> None:
    scene = Scene(filled())
    delivery = scene.publish()
    delivery.lanes[0].rewind("another epoch")
    scene.in_flight.drop_superseded(scene.now)
    scene.deliveries.sweep(scene.in_flight)
    assert scene.outcomes == ["superseded"]


def test_lost_worker_ends_the_span_with_an_error() -> None:
    scene = Scene(filled())
    delivery = scene.publish()
    scene.in_flight.worker_lost(delivery, scene.now)
    scene.deliveries.lost(delivery, ended=delivery not in scene.in_flight)
    assert (scene.outcomes, scene.spans.only.status.status_code) == (["lease_expired"], StatusCode.ERROR)


def test_stop_ends_what_is_in_flight() -> None:
    scene = Scene(filled())
    scene.publish()
    scene.deliveries.stop()
    assert scene.outcomes == ["stopped"]


@pytest.mark.parametrize("parent", ["", UNSAMPLED])
def test_delivery_that_is_not_sampled_has_no_span(parent: str) -> None:
    scene = Scene(filled([parent]), NONE if not parent else EVERY)
    delivery = scene.publish()
    scene.report(delivery, ReportKind.FINISHED, 1)
    scene.deliveries.lost(delivery, ended=True)
    scene.deliveries.sweep(scene.in_flight)
    assert (delivery.ref("ingest").traceparent, scene.spans.ended) == ("", ())


def test_fault_in_tracing_does_not_keep_a_delivery_back() -> None:
    def broken() -> float:
        raise AssertionError("a fault of ours")

    scene = Scene(filled(), TraceSampling(ratio=0.5, parent_based=True, chance=broken))
    with capture_logs() as lines:
        delivery = scene.publish()
    assert [line["event"] for line in lines] == ["tracing_failed"]
    assert (delivery in scene.in_flight, delivery.traceparent) == (True, "")


@pytest.mark.parametrize(
    "act",
    [
        lambda scene, delivery: scene.report(delivery, ReportKind.FINISHED, 1),
        lambda scene, delivery: scene.deliveries.lost(delivery, ended=True),
        lambda scene, _: scene.deliveries.sweep(in_flight_deliveries()),
        lambda scene, _: scene.deliveries.stop(),
    ],
    ids=["reported", "lost", "sweep", "stop"],
)
def test_fault_in_tracing_is_logged_once_and_costs_the_span_only(act: Callable[[Scene, Delivery], None]) -> None:
    scene = Scene(filled())
    delivery = scene.publish()
    scene.spans.broken = True
    with capture_logs() as lines:
        act(scene, delivery)
        scene.deliveries.lost(delivery, ended=True)
        scene.deliveries.stop()
    assert [(line["event"], line["delivery"]) for line in lines] == [("tracing_failed", delivery.id)]
    assert scene.spans.ended == ()
