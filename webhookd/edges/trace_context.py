"""Trace contexts of OpenTelemetry as W3C traceparents, in which form they are in tasks and requests."""

from typing import Final

from opentelemetry.trace import Span, SpanContext, TraceFlags

NS: Final = 1_000_000_000
"""Nanoseconds in a second: OpenTelemetry gives the times of spans in nanoseconds since the epoch."""


def traceparent_of(span: Span) -> str:
    """Return the traceparent of a span (W3C Trace Context §3.2); empty if the span is not recorded."""
    context = span.get_span_context()
    if not span.is_recording():
        return ""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def remote_context(traceparent: str) -> SpanContext:
    """Return the context of a valid traceparent, which another process has made."""
    _, trace_id, span_id, flags, *_ = traceparent.split("-")
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
