"""How spans leave the process, with an exporter of the test: what is logged, and how long a stop takes."""

import logging
from collections.abc import Sequence
from threading import Event

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from structlog.testing import capture_logs
from structlog.typing import EventDict

from webhookd.edges.trace_export import BATCH_SPANS, LoggedExporter, TraceExport

LIBRARY = logging.getLogger("opentelemetry.exporter.otlp.proto.http.trace_exporter")
PATIENCE_S = 20.0


class Collector(SpanExporter):
    """Takes spans unless it is `down`, and logs as the library does."""

    def __init__(self, *, down: bool = False) -> None:
        self.down = down
        self.names: list[str] = []
        self.stops = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self.down:
            LIBRARY.warning("Transient error %s, retrying", "connection refused")
            LIBRARY.error("Failed to export, max retries")
            return SpanExportResult.FAILURE
        self.names += [span.name for span in spans]
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self.stops += 1


class StuckCollector(Collector):
    """Takes no span until it is shut down."""

    def __init__(self) -> None:
        super().__init__()
        self._released = Event()
        self.ended = Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        del spans
        assert self._released.wait(PATIENCE_S)
        self.ended.set()
        return SpanExportResult.FAILURE

    def shutdown(self) -> None:
        super().shutdown()
        self._released.set()


def end_spans(export: TraceExport, *names: str) -> None:
    for name in names:
        export.tracer.start_span(name).end()


def failures(exporter: LoggedExporter, count: int, now: list[float]) -> list[EventDict]:
    """The lines of so many failed exports, 5 s apart; `now` is the clock."""
    with capture_logs() as lines:
        for _ in range(count):
            exporter.export(())
            now[0] += 5.0
    return lines


def test_stop_sends_what_has_ended() -> None:
    collector = Collector()
    export = TraceExport(LoggedExporter(collector, lambda: 0.0))
    end_spans(export, "a", "b")
    export.stop(PATIENCE_S)
    assert (collector.names, collector.stops) == (["a", "b"], 1)


def test_second_stop_does_nothing() -> None:
    collector = Collector()
    export = TraceExport(LoggedExporter(collector, lambda: 0.0))
    export.stop(PATIENCE_S)
    export.stop(PATIENCE_S)
    assert collector.stops == 1


def test_stop_does_not_wait_for_a_collector_that_takes_nothing() -> None:
    collector = StuckCollector()
    export = TraceExport(LoggedExporter(collector, lambda: 0.0))
    end_spans(export, "a")
    export.stop(0.01)
    assert collector.ended.wait(PATIENCE_S)
    assert collector.stops == 1


def test_span_that_ends_never_waits_for_the_collector() -> None:
    collector = StuckCollector()
    export = TraceExport(LoggedExporter(collector, lambda: 0.0))
    end_spans(export, *["a"] * (3 * BATCH_SPANS))
    assert not collector.ended.is_set()
    export.stop(0.0)


def test_lost_spans_are_logged_once_and_then_now_and_then() -> None:
    now = [0.0]
    exporter = LoggedExporter(Collector(down=True), lambda: now[0])
    lines = failures(exporter, 13, now)
    assert [(line["event"], line["code"], line["log_level"]) for line in lines] == [
        ("spans_lost", "spans_lost", "warning")
    ] * 4


def test_line_has_the_number_of_lost_spans_and_the_first_reason() -> None:
    exporter = LoggedExporter(Collector(down=True), lambda: 0.0)
    export = TraceExport(exporter)
    end_spans(export, "a", "b", "c")
    with capture_logs() as lines:
        export.stop(PATIENCE_S)
    assert [(line["spans"], line["detail"]) for line in lines] == [(3, "Transient error connection refused, retrying")]


def test_library_logs_nothing_itself(caplog: pytest.LogCaptureFixture) -> None:
    failures(LoggedExporter(Collector(down=True), lambda: 0.0), 1, [0.0])
    assert caplog.records == []
    LIBRARY.warning("not while it sends")
    assert [record.getMessage() for record in caplog.records] == ["not while it sends"]


def test_spans_name_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    def service() -> object:
        export = TraceExport(Collector())
        span = export.tracer.start_span("a")
        export.stop(PATIENCE_S)
        assert isinstance(span, ReadableSpan)
        return span.resource.attributes["service.name"]

    assert service() == "webhookd"
    monkeypatch.setenv("OTEL_SERVICE_NAME", "webhookd-eu")
    assert service() == "webhookd-eu"
