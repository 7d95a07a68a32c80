"""The spans of requests (OpenTelemetry): children of their delivery's span, in a delivery that is traced.

Attributes follow OpenTelemetry's conventions for HTTP clients; `webhookd.…` has what these do not name. The path and
the query of the URL are left out, because they are often the secret of an endpoint.

    the request is for                                   its trace context
    one record with a valid trace context of its own     that one, unchanged: the endpoint continues the record's trace
    anything else                                        that of the request's span
    a subscription with a header `traceparent`           that header

The span links to the trace contexts of its records, at most LINKS of them. Under load a delivery has thousands of
requests: after MOST_SPANS of them only those that fail have a span, and they pass on the context of the delivery's.
After a fault in tracing the other requests of the attempt go without spans, in the same way.
"""

from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanKind, StatusCode, Tracer, set_span_in_context
from opentelemetry.util.types import AttributeValue

from webhookd import logs
from webhookd.edges.trace_context import NS, remote_context, traceparent_of
from webhookd.flow.attempt.exchange_result import Outcome, Response
from webhookd.flow.attempt.judge import failure_code
from webhookd.flow.batching.batch import Batch
from webhookd.flow.batching.trace_headers import is_traceparent, trace_headers, traceparents_of
from webhookd.flow.dispatch.task_message import DeliveryRef
from workers.delivery.delivery_sender import RequestTemplate

LINKS = 64
"""The most links of a span. A backend keeps 128 of them by default, and each takes about 0.01 ms of its thread."""

MOST_SPANS = 100
"""The most spans of one attempt of a delivery, failed requests aside. A trace of more is too long to be read."""

_log = logs.get(__name__)


class RequestTracer:
    """Makes the spans of the traced deliveries of a process."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def spans(self, ref: DeliveryRef, template: RequestTemplate) -> "TracedRequests | None":
        """The spans of the requests of one attempt of a delivery; None if it is not traced.

        Neither is one whose `traceparent` cannot be read, which another version of webhookd has written.
        """
        try:
            return TracedRequests(self._tracer, ref, template) if is_traceparent(ref.traceparent) else None
        except Exception:  # noqa: BLE001 - a fault in tracing must not keep a delivery from being sent
            _log.exception("tracing_failed", subscription=ref.subscription, delivery=ref.id)
            return None


class TracedRequests:
    """Used on the exchange loop's thread; see RequestSpans (request_observers.py)."""

    def __init__(self, tracer: Tracer, ref: DeliveryRef, template: RequestTemplate) -> None:
        self._tracer = tracer
        self._parent = set_span_in_context(NonRecordingSpan(remote_context(ref.traceparent)))
        self._traceparent = ref.traceparent
        self._sends_context = template.trace
        self._linked = ref.traced
        self._common = _common(ref, template)
        self._method = str(self._common["http.request.method"])
        self._left = MOST_SPANS
        self._span: Span | None = None
        self._begun: tuple[Batch, float, int] | None = None
        self._links: list[Link] | None = None
        self._resent = 0
        self._failed = False

    def begin(self, batch: Batch, *, at: float, attempt: int) -> bytes:
        """Begin the span of a request, before it is sent; returns the header lines of its trace context."""
        parent = self._traceparent
        if not self._failed:
            try:
                parent = self._begin(batch, at, attempt)
            except Exception:  # noqa: BLE001 - a fault in tracing must not keep a request from being sent
                self._drop()
        if not self._sends_context:
            return b""
        own = trace_headers(batch.body) if self._linked and batch.records == 1 else b""
        return own or b"traceparent: %b\r\n" % parent.encode()

    def end(self, outcome: Outcome, *, acknowledged: bool) -> None:
        """End the span of the request. A failed one that has none gets one now."""
        if self._failed:
            return
        try:
            self._end(outcome, acknowledged=acknowledged)
        except Exception:  # noqa: BLE001 - a fault in tracing must not keep a delivery from going on
            self._drop()

    def _begin(self, batch: Batch, at: float, attempt: int) -> str:
        """Begin the span, if there is one to begin; returns the trace context that the request passes on."""
        again = self._begun is not None and self._begun[0] is batch
        self._resent = self._resent + 1 if again else attempt - 1
        self._links = self._links if again else None
        self._begun = (batch, at, attempt)
        self._span = None
        if self._left <= 0:
            return self._traceparent
        self._left -= 1
        self._span = span = self._start(self._begun)
        return traceparent_of(span)

    def _end(self, outcome: Outcome, *, acknowledged: bool) -> None:
        begun, self._begun = self._begun, None if acknowledged else self._begun
        if begun is None or (self._span is None and acknowledged):
            return
        span, self._span = self._span or self._start(begun), None
        if isinstance(outcome, Response):
            span.set_attribute("http.response.status_code", outcome.status)
        if not acknowledged:
            code = failure_code(outcome)
            span.set_attribute("error.type", code)
            span.set_status(StatusCode.ERROR, code)
        span.end(int((begun[1] + outcome.elapsed_s) * NS))

    def _drop(self) -> None:
        """Make no more spans in this attempt: what failed once would fail, and be logged, with each request."""
        self._failed, self._span, self._begun, self._links = True, None, None, None
        common = self._common
        _log.exception(
            "tracing_failed", subscription=common["webhookd.subscription.id"], delivery=common["webhookd.delivery.id"]
        )

    def _start(self, begun: tuple[Batch, float, int]) -> Span:
        batch, at, attempt = begun
        attributes = self._common | {
            "http.request.body.size": len(batch.body),
            "messaging.batch.message_count": batch.records,
            "webhookd.webhook.id": batch.webhook_id,
            "webhookd.attempt": attempt,
        }
        if self._resent:
            attributes["http.request.resend_count"] = self._resent
        return self._tracer.start_span(
            self._method,
            context=self._parent,
            kind=SpanKind.CLIENT,
            attributes=attributes,
            links=self._links_to(batch) if self._linked else (),
            start_time=int(at * NS),
        )

    def _links_to(self, batch: Batch) -> list[Link]:
        """The links to the records of the current batch, which is searched once, however often it is sent."""
        if self._links is None:
            self._links = [Link(remote_context(parent)) for parent in traceparents_of(batch.body, batch.records, LINKS)]
        return self._links


def _common(ref: DeliveryRef, template: RequestTemplate) -> dict[str, AttributeValue]:
    target = template.target
    return {
        "http.request.method": template.head.partition(b" ")[0].decode(),
        "url.scheme": "https" if target.tls else "http",
        "server.address": target.host,
        "server.port": target.port,
        "webhookd.delivery.id": ref.id,
        "webhookd.subscription.id": ref.subscription,
        "webhookd.tenant": template.tenant,
    }
