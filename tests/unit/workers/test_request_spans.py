"""The spans of the requests of a delivery that is traced. Real: the sender, and OpenTelemetry's SDK in memory."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec
import pytest
from opentelemetry.trace import SpanKind, StatusCode
from structlog.testing import capture_logs

from tests.harness.delivery_senders import OK, SECRET, SenderScene, answer, no_answer, ref
from tests.harness.lanes import WANTED, Record, lane
from tests.harness.spans import DELIVERY, PARENT, Spans, attributes, linked, parent_id, traceparent
from webhookd.flow.attempt.exchange_result import FailureCode
from webhookd.flow.attempt.target import Target
from webhookd.flow.batching.batch import Batch
from workers.delivery.delivery_sender import DeliverySender
from workers.delivery.request_observers import RequestObservers
from workers.delivery.request_spans import LINKS, MOST_SPANS, RequestTracer


def batches_of(parents: Sequence[str], size: int = 1) -> list[Batch]:
    """Batches of `size` records, each with this traceparent; none for an empty one."""
    one = lane()
    pairs = [(("traceparent", parent.encode()),) if parent else () for parent in parents]
    one.take([Record(offset, pairs=pair) for offset, pair in enumerate(pairs)], WANTED, 0.0)
    return [one.form_batch(size, 1 << 30) for _ in range(-(-len(parents) // size))]


class Traced(SenderScene):
    """Builds the senders of traced deliveries."""

    def __init__(self) -> None:
        super().__init__()
        self.spans = Spans()

    def traced(self, batches: list[Batch], *, attempt: int = 0, failures: int = 0) -> DeliverySender:
        """A sender of these batches, whose delivery has a span."""
        one = msgspec.structs.replace(
            ref(attempt=attempt, failures=failures, count=len(batches), traced=True), traceparent=DELIVERY
        )
        return DeliverySender(
            one,
            batches,
            self.template,
            limits=self.limits,
            clocks=self.clocks,
            ended=self.ended.append,
            observers=RequestObservers(spans=RequestTracer(self.spans.tracer).spans(one, self.template)),
        )

    def has_spans(self, trace: str) -> bool:
        """Whether a delivery with this `trace` has spans."""
        one = msgspec.structs.replace(ref(), traceparent=trace)
        return RequestTracer(self.spans.tracer).spans(one, self.template) is not None


def sent_parents(request: bytes | None) -> list[str]:
    """The headers `traceparent` of a request."""
    head = (request or b"").partition(b"\r\n\r\n")[0]
    return [value.decode() for value in re.findall(rb"\r\ntraceparent: ([^\r]*)", head)]


def errors_in(lines: Sequence[Mapping[str, object]]) -> list[tuple[object, object]]:
    """The events of the lines that are errors, and their deliveries."""
    return [(line["event"], line["delivery"]) for line in lines if line["log_level"] == "error"]


def test_each_request_has_a_child_of_the_deliverys_span() -> None:
    scene = Traced()
    sender = scene.traced(batches_of(["", ""]))
    for outcome in (None, OK, OK):
        sender.advance(outcome)
    assert [(span.name, span.kind, parent_id(span)) for span in scene.spans.ended] == [
        ("POST", SpanKind.CLIENT, DELIVERY[36:52])
    ] * 2
    assert {traceparent(span)[3:35] for span in scene.spans.ended} == {DELIVERY[3:35]}


def test_span_of_a_request_has_the_facts_of_an_http_client() -> None:
    scene = Traced()
    batch = batches_of(["", ""], 2)
    sender = scene.traced(batch, failures=2)
    sender.advance(None)
    sender.advance(answer(202))
    assert dict(attributes(scene.spans.only)) == {
        "http.request.method": "POST",
        "http.request.body.size": len(batch[0].body),
        "http.request.resend_count": 2,
        "http.response.status_code": 202,
        "url.scheme": "https",
        "server.address": "example.com",
        "server.port": 443,
        "messaging.batch.message_count": 2,
        "webhookd.subscription.id": "s1",
        "webhookd.tenant": "default",
        "webhookd.delivery.id": "d1",
        "webhookd.webhook.id": batch[0].webhook_id,
        "webhookd.attempt": 3,
    }
    assert scene.spans.only.status.status_code is StatusCode.UNSET


def test_span_lasts_as_long_as_the_exchange() -> None:
    scene = Traced()
    sender = scene.traced(batches_of([""]))
    sender.advance(None)
    scene.wall += 9.0
    sender.advance(OK)
    began, ended = scene.spans.only.start_time, scene.spans.only.end_time
    assert began == 1_700_000_000_500_000_000
    assert ended == pytest.approx(1_700_000_000_510_000_000, abs=1000)


@pytest.mark.parametrize(
    ("outcome", "code"), [(answer(503), "http_503"), (no_answer(FailureCode.CONNECT_REFUSED), "connect_refused")]
)
def test_failed_request_has_the_code_of_its_failure(outcome: object, code: str) -> None:
    scene = Traced()
    sender = scene.traced(batches_of([""]))
    sender.advance(None)
    sender.advance(outcome)  # type: ignore[arg-type]  # pytest gives what the table has
    span = scene.spans.only
    assert (attributes(span)["error.type"], span.status.status_code) == (code, StatusCode.ERROR)


def test_neither_url_nor_secrets_are_in_a_span() -> None:
    scene = Traced()
    target = Target.parse("https://example.com/services/T0/hidden?token=hidden")
    scene.template = replace(scene.template, target=target)
    sender = scene.traced(batches_of([PARENT]))
    sender.advance(None)
    sender.advance(no_answer(FailureCode.TLS_FAILED))
    shown = scene.spans.only.to_json()
    assert [text for text in ("hidden", SECRET, "as the test says") if text in shown] == []


def test_request_of_one_record_passes_on_the_records_own_context_and_links_to_it() -> None:
    scene = Traced()
    sender = scene.traced(batches_of([PARENT]))
    request = sender.advance(None)
    sender.advance(OK)
    assert (sent_parents(request), linked(scene.spans.only)) == ([PARENT], [PARENT])


@pytest.mark.parametrize(("parents", "size"), [([""], 1), (["no trace context"], 1), ([PARENT, PARENT], 2)])
def test_any_other_request_passes_on_the_context_of_its_span(parents: list[str], size: int) -> None:
    scene = Traced()
    sender = scene.traced(batches_of(parents, size))
    request = sender.advance(None)
    sender.advance(OK)
    assert sent_parents(request) == [traceparent(scene.spans.only)]


def test_header_of_the_subscription_is_the_only_one() -> None:
    scene = Traced()
    scene.template = replace(scene.template, trace=False)
    sender = scene.traced(batches_of([PARENT]))
    assert sent_parents(sender.advance(None)) == []
    sender.advance(OK)
    assert len(scene.spans.ended) == 1


def test_batch_links_to_its_records_each_once_and_not_to_all() -> None:
    scene = Traced()
    parents = [f"00-{number:032x}-b7ad6b7169203331-01" for number in range(1, 2 * LINKS)]
    sender = scene.traced(batches_of([parents[0], *parents], len(parents) + 1))
    sender.advance(None)
    sender.advance(OK)
    assert linked(scene.spans.only) == parents[: LINKS - 1]


def test_batch_is_searched_once_however_often_it_is_sent() -> None:
    scene = Traced()
    (batch,) = batches_of([PARENT, PARENT], 2)
    one = msgspec.structs.replace(ref(traced=True), traceparent=DELIVERY)
    spans = RequestTracer(scene.spans.tracer).spans(one, scene.template)
    assert spans is not None
    for outcome, good in ((answer(401), False), (OK, True)):
        spans.begin(batch, at=0.0, attempt=1)
        spans.end(outcome, acknowledged=good)
    first, second = scene.spans.ended
    assert first.links[0].context is second.links[0].context


@pytest.mark.parametrize("requests_before", [0, 1])
def test_fault_in_tracing_is_logged_once_and_the_delivery_goes_on(requests_before: int) -> None:
    scene = Traced()
    sender = scene.traced(batches_of(["", PARENT, ""]))
    requests = [sender.advance(None)] if requests_before else []
    scene.spans.broken = True
    with capture_logs() as lines:
        while len(requests) < 3:
            requests.append(sender.advance(OK if requests else None))
        assert sender.advance(OK) is None
    assert errors_in(lines) == [("tracing_failed", "d1")]
    assert [sent_parents(request) for request in requests[1:]] == [[PARENT], [DELIVERY]]
    assert (scene.ended, sender.done, scene.spans.ended) == ([sender], 3, ())


def test_fault_in_tracing_does_not_keep_a_failure_from_being_judged() -> None:
    scene = Traced()
    sender = scene.traced(batches_of([""]))
    sender.advance(None)
    scene.spans.broken = True
    with capture_logs() as lines:
        assert sender.advance(answer(503)) is None
    assert errors_in(lines) == [("tracing_failed", "d1")]
    assert (scene.ended, sender.failure_code) == ([sender], "http_503")


def test_retry_continues_the_trace() -> None:
    scene = Traced()
    for attempt, outcome in enumerate((answer(503), answer(503), OK)):
        sender = scene.traced(batches_of([""]), attempt=attempt)
        sender.advance(None)
        sender.advance(outcome)
    assert [(parent_id(span), attributes(span).get("http.request.resend_count", 0)) for span in scene.spans.ended] == [
        (DELIVERY[36:52], 0),
        (DELIVERY[36:52], 1),
        (DELIVERY[36:52], 2),
    ]


def test_long_delivery_has_a_bounded_number_of_spans_and_each_failed_request_one() -> None:
    scene = Traced()
    sender = scene.traced(batches_of([""] * (MOST_SPANS + 2)))
    sender.advance(None)
    for _ in range(MOST_SPANS):
        last = sender.advance(OK)
    sender.advance(OK)
    assert (len(scene.spans.ended), sent_parents(last)) == (MOST_SPANS, [DELIVERY])
    sender.advance(answer(500))
    failed = scene.spans.ended[-1]
    assert len(scene.spans.ended) == MOST_SPANS + 1
    assert (attributes(failed)["error.type"], parent_id(failed)) == ("http_500", DELIVERY[36:52])


def test_aborted_request_has_a_span() -> None:
    scene = Traced()
    sender = scene.traced(batches_of([""]))
    sender.advance(None)
    sender.advance(no_answer(FailureCode.SHUTDOWN))
    assert attributes(scene.spans.only)["error.type"] == "shutdown"


@pytest.mark.parametrize(("trace", "traced"), [(DELIVERY, True), ("", False), ("of a later version", False)])
def test_delivery_is_traced_if_its_task_says_so(trace: str, *, traced: bool) -> None:
    assert Traced().has_spans(trace) is traced


def test_delivery_whose_spans_cannot_be_made_has_none() -> None:
    scene = Traced()
    scene.template = replace(scene.template, head=b"\xff /")
    with capture_logs() as lines:
        assert not scene.has_spans(DELIVERY)
    assert errors_in(lines) == [("tracing_failed", "d1")]


def test_delivery_that_is_not_traced_has_no_spans_and_no_context_of_its_own() -> None:
    scene = Traced()
    sender = scene.sender(traced=True)
    sender.batches = batches_of(["", ""], 2)
    assert sent_parents(sender.advance(None)) == []
    sender.advance(OK)
    assert scene.spans.ended == ()
