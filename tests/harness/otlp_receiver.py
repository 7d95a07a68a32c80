"""A collector of traces: an HTTP server on loopback that decodes what OTLP/HTTP sends, and keeps the spans."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

PATIENCE_S = 60.0


class OtlpReceiver:
    """Listens from its creation on; `status` is its answer. Requests other than POST /v1/traces get 404."""

    def __init__(self) -> None:
        self.status = 200
        self.spans: list[Span] = []
        self.resources: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self._changed = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        """Start to answer."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Close the port."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def received(self, headers: dict[str, str], body: bytes) -> None:
        """Keep one request; its spans only if the answer is 200."""
        request = ExportTraceServiceRequest.FromString(body)
        with self._changed:
            self.headers.append(headers)
            for group in request.resource_spans if self.status == 200 else ():
                self.resources.append(values(group.resource))
                self.spans += [span for scope in group.scope_spans for span in scope.spans]
            self._changed.notify_all()

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until the condition holds after a request; fails when it does not in time."""
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE_S), [span.name for span in self.spans]

    def deliveries(self) -> list[Span]:
        """The spans of deliveries."""
        return [span for span in self.spans if span.kind == Span.SPAN_KIND_CONSUMER]

    def attempts(self, delivery: Span) -> list[Span]:
        """The children of a delivery's span."""
        return [span for span in self.spans if span.parent_span_id == delivery.span_id]


def values(of: Any) -> dict[str, Any]:  # noqa: ANN401  # a span or a resource
    """The attributes, by name: texts, numbers and truth values; the empty text for others."""
    found = {}
    for attribute in of.attributes:
        kind = attribute.value.WhichOneof("value")
        found[attribute.key] = getattr(attribute.value, kind) if kind != "array_value" else ""
    return found


def ids(span: Span) -> str:
    """The trace id and the id of a span, as they are in a traceparent."""
    return f"{span.trace_id.hex()}-{span.span_id.hex()}"


def linked(span: Span) -> list[str]:
    """The ids of the spans to which it links."""
    return [f"{link.trace_id.hex()}-{link.span_id.hex()}" for link in span.links]


def _handler_of(receiver: OtlpReceiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            known = self.path == "/v1/traces"
            if known:
                receiver.received({name.lower(): value for name, value in self.headers.items()}, body)
            self.send_response(receiver.status if known else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Write nothing."""

    return Handler
