"""Each kind of event in a worker is counted under its name and labels.

Real: all processes. Oracles: the receiver, and what Prometheus reads.
"""

from collections.abc import Callable, Iterator
from threading import Event
from typing import Any

import pytest

from stack.free_ports import free_ports
from tests.acceptance.conftest import Starts
from tests.harness.metrics import Scrape, scrape, wait_metric
from tests.harness.pipeline import PATIENCE_S, Pipeline, until
from tests.harness.receiver import OK, Receiver, Request, status
from webhookd.flow.dispatch.queue_names import FIRST, RETRY
from webhookd.testing.http_endpoint import Answer

ATTEMPTS = "webhookd_attempts_total"
DURATIONS = "webhookd_attempt_duration_seconds_count"
ENDED = "webhookd_deliveries_ended_total"
RECORDS = "webhookd_batch_records"
CALLS = "webhookd_call_duration_seconds_count"

WORKER = "worker-2"

REFUSED_ADDRESS = "127.0.0.2"
"""The API lets a subscription have it; the worker does not connect to it."""

NO_RETRY: dict[str, Any] = {"retries": 0, "retry": {"on_exhausted": "dead_letter"}}


@pytest.fixture(scope="module")
def service(start_pipeline: Starts) -> Iterator[Pipeline]:
    """Requests time out soon, and the worker's rules are stricter than those of the API."""
    with start_pipeline(WEBHOOKD_REQUEST_DEADLINE_S="1.5") as pipeline:
        until(lambda: '"event":"worker_ready"' in pipeline.log("worker"), "the worker consumes its queues")
        pipeline.terminate("worker")
        pipeline.start(WORKER, WEBHOOKD_EGRESS_FORBID=f'["{REFUSED_ADDRESS}/32"]')
        yield pipeline


class Bodies:
    """Answers 200, and adds up what it got."""

    def __init__(self) -> None:
        self.requests = self.bytes = 0

    def __call__(self, request: Request) -> Answer:
        self.requests += 1
        self.bytes += len(request.body)
        return OK


def numbers(count: int) -> list[bytes | None]:
    return [b'{"n": %d}' % number for number in range(count)]


def grown(before: Scrape, name: str, by: float, **labels: str) -> Callable[[Scrape], bool]:
    """Whether a metric has grown by so much."""
    begin = before.total(name, **labels)
    return lambda seen: seen.total(name, **labels) == begin + by


@pytest.mark.parametrize(("size", "records"), [(1, 25), (100, 300)])
def test_acknowledged_batches_are_counted_with_their_records_and_bytes(
    service: Pipeline, size: int, records: int
) -> None:
    before, topic, bodies = scrape(service, WORKER), service.topic(1), Bodies()
    with Receiver(bodies) as receiver:
        id_ = service.subscribe(receiver.url, topic, size=size)
        service.produce(topic, numbers(records), partitions=1)
        receiver.wait_for_records(records)
        service.wait_committed(id_, topic)
        seen = wait_metric(
            service, WORKER, grown(before, f"{RECORDS}_sum", records), "all records are in acknowledged batches"
        )
    assert grown(before, ATTEMPTS, bodies.requests, result="acknowledged")(seen)
    assert grown(before, DURATIONS, bodies.requests)(seen)
    assert grown(before, f"{RECORDS}_count", bodies.requests)(seen)
    assert grown(before, "webhookd_acknowledged_bytes_total", bodies.bytes)(seen)
    assert seen.total(ENDED, kind="finished") > before.total(ENDED, kind="finished")
    assert seen.total("webhookd_connections_opened_total", scheme="http") > 0
    assert seen.total("webhookd_connections", state="idle") > 0


@pytest.mark.parametrize(
    ("code", "result", "kind"),
    [(500, "http_5xx", "exhausted"), (418, "http_4xx", "exhausted"), (410, "http_410", "gone")],
)
def test_refused_request_is_counted_by_its_status(service: Pipeline, code: int, result: str, kind: str) -> None:
    before, topic = scrape(service, WORKER), service.topic(1)
    with Receiver(lambda _request: status(code)) as receiver:
        service.subscribe(receiver.url, topic, **NO_RETRY)
        service.produce(topic, numbers(1), partitions=1)
        seen = wait_metric(service, WORKER, grown(before, ATTEMPTS, 1, result=result), result)
        wait_metric(service, WORKER, grown(before, ENDED, 1, kind=kind), kind)
    assert grown(before, ATTEMPTS, 0, result="acknowledged")(seen)


def test_failed_attempt_and_its_retry_are_counted(service: Pipeline) -> None:
    before, topic = scrape(service, WORKER), service.topic(1)
    answers = [status(503)]
    with Receiver(lambda _request: answers.pop() if answers else OK) as receiver:
        id_ = service.subscribe(receiver.url, topic)
        service.produce(topic, numbers(1), partitions=1)
        service.wait_committed(id_, topic)
        seen = wait_metric(service, WORKER, grown(before, ATTEMPTS, 1, result="acknowledged"), "acknowledged")
    assert grown(before, ATTEMPTS, 1, result="http_503")(seen)
    assert grown(before, ENDED, 1, kind="retry")(seen)
    assert grown(before, CALLS, 1, service="redis", operation="publish")(seen), "the retry"


def test_endpoint_that_does_not_answer_is_counted_and_its_connection_is_busy(service: Pipeline) -> None:
    before, topic, released = scrape(service, WORKER), service.topic(1), Event()

    def hang(_request: Request) -> Answer:
        released.wait(PATIENCE_S)
        return OK

    with Receiver(hang) as receiver:
        # Longer than a busy machine takes for a scrape.
        service.subscribe(receiver.url, topic, **NO_RETRY, delivery={"timeout_seconds": 10})
        service.produce(topic, numbers(1), partitions=1)
        wait_metric(
            service,
            WORKER,
            lambda seen: (
                seen.value("webhookd_connections", state="busy") == seen.value("webhookd_worker_threads_busy") == 1
            ),
            "its connection and the thread that waits are busy",
        )
        wait_metric(service, WORKER, grown(before, ATTEMPTS, 1, result="timeout"), "timeout")
        released.set()


def test_endpoint_that_cannot_be_reached_is_counted(service: Pipeline) -> None:
    before, topic = scrape(service, WORKER), service.topic(1)
    (port,) = free_ports(1)
    service.subscribe(f"http://127.0.0.1:{port}/", topic, **NO_RETRY)
    service.produce(topic, numbers(1), partitions=1)
    seen = wait_metric(service, WORKER, grown(before, ATTEMPTS, 1, result="connect_refused"), "connect_refused")
    assert grown(before, "webhookd_connections_opened_total", 0)(seen)


def test_refused_address_is_counted_and_not_connected_to(service: Pipeline) -> None:
    before, topic = scrape(service, WORKER), service.topic(1)
    service.subscribe(f"http://{REFUSED_ADDRESS}:8000/", topic, **NO_RETRY)
    service.produce(topic, numbers(1), partitions=1)
    attempt = grown(before, ATTEMPTS, 1, result="address_refused")
    refusal = grown(before, "webhookd_egress_refusals_total", 1, code="address_refused", rule="network_forbidden")
    # A scrape reads the refusals before the attempts: one that comes between the two has the attempt alone.
    seen = wait_metric(service, WORKER, lambda seen: attempt(seen) and refusal(seen), "address_refused")
    assert grown(before, "webhookd_connections_opened_total", 0)(seen)


def test_tasks_threads_and_calls_are_counted(service: Pipeline) -> None:
    before, topic = scrape(service, WORKER), service.topic(1)
    with Receiver() as receiver:
        id_ = service.subscribe(receiver.url, topic)
        for _ in range(2):  # the second one is a first attempt to an endpoint that has succeeded recently
            service.produce(topic, numbers(1), partitions=1)
            service.wait_committed(id_, topic)
    seen = scrape(service, WORKER)
    assert seen.total("webhookd_worker_threads") > 1
    for queue in (FIRST, RETRY):
        assert seen.total("webhookd_tasks_taken_total", queue=queue) > before.total(
            "webhookd_tasks_taken_total", queue=queue
        )
    for operation in ("claim", "send_reports", "write_heartbeat", "queue_lengths"):
        assert seen.total(CALLS, service="redis", operation=operation) > 0, operation
    for operation in ("transaction", "select"):
        assert seen.total(CALLS, service="database", operation=operation) > 0, operation
    assert seen.series("webhookd_call_errors_total") == []
    ingest = scrape(service, "ingest")
    for called, operation in (("redis", "publish"), ("redis", "make_claimable"), ("kafka", "topics")):
        assert ingest.total(CALLS, service=called, operation=operation) > 0, operation
