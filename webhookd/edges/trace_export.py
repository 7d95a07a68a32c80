"""Sends ended spans to a collector by OTLP over HTTP. Import it only if the extra `webhookd[otel]` is installed.

Spans wait in a queue, and one thread sends them; whoever ends a span never waits. A span is lost

when the queue is full                                  the SDK drops the oldest, and logs "Queue full, dropping Span."
when the collector refuses it                           `spans_lost`
when the collector does not take it within EXPORT_S     `spans_lost`

Nothing else is lost.

OpenTelemetry's own environment variables count for what has no setting here: OTEL_RESOURCE_ATTRIBUTES,
OTEL_SERVICE_NAME, OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE and those of the client certificate.
"""

import logging
from collections.abc import Sequence
from threading import Thread

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Tracer
from requests import Session

from webhookd import __version__, clock, logs
from webhookd.clock import Monotonic
from webhookd.configuration.trace_collector_types import header_map
from webhookd.repeated_lines import RepeatedLines
from webhookd.settings import Settings

EXPORT_S = 5.0
"""How long one request to the collector may take with its repetitions. Meanwhile spans wait in the queue."""

QUEUE_SPANS = 8192
"""How many ended spans wait at most, about 16 MB. One delivery with many requests ends thousands within a second."""

BATCH_SPANS = 512
INTERVAL_S = 1.0
"""Spans are sent when there are BATCH_SPANS, or after INTERVAL_S."""

_log = logs.get(__name__)


def start(settings: Settings) -> "TraceExport":
    """Start the thread that sends spans to the collector of the settings."""
    session = Session()
    session.trust_env = False  # neither a proxy nor a login of the environment, as for all requests of webhookd
    exporter = OTLPSpanExporter(
        endpoint=settings.traces_endpoint,
        headers=header_map(settings.traces_headers.get_secret_value()),
        timeout=EXPORT_S,
        session=session,
    )
    return TraceExport(LoggedExporter(exporter, clock.monotonic))


class TraceExport:
    """The tracer of a process; see Tracing in webhookd/edges/tracing.py."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._provider = TracerProvider(sampler=ALWAYS_ON, resource=_resource(), shutdown_on_exit=False)
        self._provider.add_span_processor(
            BatchSpanProcessor(
                exporter,
                max_queue_size=QUEUE_SPANS,
                max_export_batch_size=BATCH_SPANS,
                schedule_delay_millis=1000 * INTERVAL_S,
            )
        )
        self._stopped = False

    @property
    def tracer(self) -> Tracer:
        """The tracer. Every span that it starts is recorded: ingest decides which deliveries have one."""
        return self._provider.get_tracer("webhookd", __version__)

    def stop(self, budget_s: float) -> None:
        """Send what has ended, for at most `budget_s`, and end the thread. Later calls do nothing."""
        if self._stopped:
            return
        self._stopped = True
        # The SDK's own stop may take 30 s, and no argument changes that.
        stopping = Thread(target=self._provider.shutdown, name="traces-stop", daemon=True)
        stopping.start()
        stopping.join(budget_s)
        if stopping.is_alive():
            self._exporter.shutdown()


class LoggedExporter(SpanExporter):
    """Another exporter, whose failures are lines of webhookd: one at first, then now and then."""

    def __init__(self, exporter: SpanExporter, monotonic: Monotonic) -> None:
        self._exporter = exporter
        self._monotonic = monotonic
        self._lines = RepeatedLines()
        self._lost = 0
        self._ended = False
        self._reasons = _Reasons()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans. Blocks, as long as the exporter's own time limit allows."""
        with self._reasons:
            result = self._exporter.export(spans)
        if result is not SpanExportResult.SUCCESS:
            self._lost += len(spans)
            if self._lines.left_out("spans_lost", self._monotonic()) is not None:
                _log.warning("spans_lost", code="spans_lost", spans=self._lost, detail=self._reasons.first)
                self._lost = 0
        return result

    def shutdown(self) -> None:
        """End the exporter, also its repetitions; later calls do nothing."""
        if not self._ended:
            self._ended = True
            self._exporter.shutdown()


class _Reasons(logging.Filter):
    """Keeps what the exporter's library would log for each of its repetitions, while a request is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.first = ""

    def __enter__(self) -> None:
        self.first = ""
        logging.getLogger(OTLPSpanExporter.__module__).addFilter(self)

    def __exit__(self, *_: object) -> None:
        logging.getLogger(OTLPSpanExporter.__module__).removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep the first text, which has the error, and log none."""
        self.first = self.first or record.getMessage()
        return False


def _resource() -> Resource:
    """What all spans of the process have in common; the environment may name the service otherwise."""
    own = Resource.create({SERVICE_NAME: "webhookd", SERVICE_VERSION: __version__})
    return own.merge(OTELResourceDetector().detect())
