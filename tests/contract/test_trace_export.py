"""Spans as a collector gets them. Real: the exporter, HTTP on loopback, the protobuf of OTLP."""

from opentelemetry.trace import Link, SpanKind
from structlog.testing import capture_logs

from tests.harness.otlp_receiver import OtlpReceiver, ids, linked, values
from tests.harness.pipeline import until
from tests.harness.spans import PARENT
from webhookd import __version__
from webhookd.edges.trace_context import remote_context, traceparent_of
from webhookd.edges.trace_export import EXPORT_S
from webhookd.edges.tracing import Tracing, build_tracing
from webhookd.settings import Settings

PATIENCE_S = 20.0


def tracing(url: str, **settings: str) -> Tracing:
    """The traces of a process that sends them to this URL."""
    built = build_tracing(Settings.model_validate({"traces_endpoint": url, **settings}))
    assert built is not None
    return built


def test_collector_gets_the_span_its_links_and_the_service() -> None:
    with OtlpReceiver() as collector:
        sent = tracing(collector.url)
        span = sent.tracer.start_span(
            "deliver orders", kind=SpanKind.CONSUMER, attributes={"n": 1}, links=[Link(remote_context(PARENT))]
        )
        parent = traceparent_of(span)
        span.end()
        sent.stop(PATIENCE_S)
    (got,) = collector.spans
    assert (got.name, values(got), ids(got), linked(got)) == ("deliver orders", {"n": 1}, parent[3:52], [PARENT[3:52]])
    (service,) = collector.resources
    assert (service["service.name"], service["service.version"]) == ("webhookd", __version__)


def test_collector_gets_the_headers_that_are_set() -> None:
    with OtlpReceiver() as collector:
        sent = tracing(collector.url, traces_headers="x-key=secret")
        sent.tracer.start_span("a").end()
        sent.stop(PATIENCE_S)
    assert [headers["x-key"] for headers in collector.headers] == ["secret"]


def test_spans_are_sent_while_the_process_runs() -> None:
    with OtlpReceiver() as collector:
        sent = tracing(collector.url)
        sent.tracer.start_span("a").end()
        collector.wait_until(lambda: bool(collector.spans))
        sent.stop(PATIENCE_S)


def test_refused_spans_are_lost_with_one_line() -> None:
    with OtlpReceiver() as collector, capture_logs() as lines:
        collector.status = 401
        sent = tracing(collector.url)
        sent.tracer.start_span("a").end()
        sent.stop(PATIENCE_S)
    assert [(line["event"], line["spans"]) for line in lines] == [("spans_lost", 1)]
    assert "401" in lines[0]["detail"]


def test_stop_ends_the_repetitions_for_an_absent_collector() -> None:
    with OtlpReceiver() as collector:
        url = collector.url
    sent = tracing(url)
    with capture_logs() as lines:
        sent.tracer.start_span("a").end()
        sent.stop(0.1)
        until(lambda: bool(lines), "the loss is logged", EXPORT_S / 2)
    assert [(line["event"], line["spans"]) for line in lines] == [("spans_lost", 1)]
    assert "Connection refused" in lines[0]["detail"]
