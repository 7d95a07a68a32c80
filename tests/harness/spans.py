"""OpenTelemetry's SDK with its in-memory exporter: the test sees each span once it has ended."""

from collections.abc import Mapping

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.util.types import AttributeValue

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = f"{PARENT[:-2]}00"
DELIVERY = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03"
"""The traceparent of a delivery's span, as a worker gets it."""


class Spans(SpanProcessor):
    """A tracer that records every span, as that of a process does; while it is `broken`, each begin and end fails."""

    def __init__(self) -> None:
        self.broken = False
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(sampler=ALWAYS_ON, shutdown_on_exit=False)
        provider.add_span_processor(self)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = provider.get_tracer("test")

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002 - OpenTelemetry calls it
        """Raise AssertionError if the tracer is broken."""
        assert not self.broken, "a fault of ours"

    def on_end(self, span: ReadableSpan) -> None:  # noqa: ARG002 - likewise
        """Raise AssertionError if the tracer is broken."""
        assert not self.broken, "a fault of ours"

    @property
    def ended(self) -> tuple[ReadableSpan, ...]:
        """The spans that have ended, in this order."""
        return self._exporter.get_finished_spans()

    @property
    def only(self) -> ReadableSpan:
        """The only span that has ended."""
        (span,) = self.ended
        return span


def attributes(span: ReadableSpan) -> Mapping[str, AttributeValue]:
    """The attributes of a span."""
    assert span.attributes is not None
    return span.attributes


def traceparent(span: ReadableSpan) -> str:
    """The traceparent of a span."""
    context = span.get_span_context()
    assert context is not None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def parent_id(span: ReadableSpan) -> str:
    """The id of the span's parent; empty for the root of a trace."""
    return f"{span.parent.span_id:016x}" if span.parent is not None else ""


def linked(span: ReadableSpan) -> list[str]:
    """The traceparents to which a span links."""
    return [
        f"00-{link.context.trace_id:032x}-{link.context.span_id:016x}-{link.context.trace_flags:02x}"
        for link in span.links
    ]
