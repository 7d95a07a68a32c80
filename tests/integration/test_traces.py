"""Traces of the whole way, from reading to the acknowledgement, as a collector gets them.

Real: the embedded service with its worker, OTLP over HTTP, an endpoint, SQLite. Kafka is librdkafka's mock cluster.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.harness.embedded import Embedded
from tests.harness.otlp_receiver import OtlpReceiver, ids, linked, values
from tests.harness.receiver import OK, Receiver, Request, status
from tests.harness.spans import PARENT, UNSAMPLED
from webhookd.edges.kafka_connection import KafkaConnection
from webhookd.testing.http_endpoint import Answer
from webhookd.testing.mock_cluster import MockCluster

TOPIC = "orders"


@pytest.fixture(scope="module")
def cluster() -> MockCluster:
    """A Kafka in this process; each test has a topic of its own."""
    return MockCluster()


class Scene:
    """The service, a subscription to a topic of its own, and what reads its requests and its spans."""

    def __init__(self, cluster: MockCluster, service: Embedded, topic: str, receiver: Receiver) -> None:
        self._cluster = cluster
        self._topic = topic
        self.receiver = receiver
        self.service = service
        self.id = ""

    def subscribe(self, size: int = 1) -> None:
        """Register the subscription."""
        created = self.service.api.register(
            {
                "name": self._topic,
                "source": [{"topic": self._topic, "start": "earliest"}],
                "destination": {"kind": "webhook", "webhook": {"url": f"{self.receiver.url}?token=hidden"}},
                "configuration": {"batching": {"max_batch_size": size, "max_batch_interval_seconds": 1}},
            }
        )
        self.id = str(created["id"])

    def produce(self, *parents: str) -> None:
        """Produce records with these traceparents; without one for an empty text."""
        for parent in parents:
            headers: list[tuple[str, str | bytes | None]] = [("traceparent", parent)] if parent else []
            self._cluster.producer.produce(self._topic, b"{}", partition=0, headers=headers)
        self._cluster.producer.flush(10.0)

    def parents_sent(self) -> list[str]:
        """The traceparent of each request that the endpoint has got; empty without one."""
        return [request.headers.get("traceparent", "") for request in self.receiver.requests]


class Starts(Protocol):
    """Starts the service; it sends its traces to `url`."""

    def __call__(
        self, url: str, answer: Callable[[Request], Answer] = ..., **settings: object
    ) -> AbstractContextManager[Scene]:
        """Start it with these settings, and an endpoint that gives these answers."""


@pytest.fixture
def running(cluster: MockCluster, tmp_path: Path) -> Starts:
    """Starts the service for a test."""

    @contextmanager
    def start(
        url: str, answer: Callable[[Request], Answer] = lambda _request: OK, **settings: object
    ) -> Iterator[Scene]:
        topic = f"{TOPIC}-{tmp_path.name}"
        cluster.create_topic(topic)
        with Receiver(answer) as receiver:
            service = Embedded(
                KafkaConnection(cluster.bootstrap_servers),
                tmp_path,
                kafka_group_protocol="consumer",
                kafka_fetch_wait_s=0.01,
                **{"traces_endpoint": url, "traces_sample_ratio": 1.0, "retry_time_scale": 0.02, **settings},
            )
            try:
                yield Scene(cluster, service, topic, receiver)
            finally:
                service.close()

    return start


def test_delivery_and_its_request_are_one_trace(running: Starts) -> None:
    with OtlpReceiver() as collector, running(collector.url) as scene:
        scene.produce("")
        scene.subscribe()
        collector.wait_until(lambda: bool(collector.deliveries()))
        (delivery,) = collector.deliveries()
        collector.wait_until(lambda: bool(collector.attempts(delivery)))
        (attempt,) = collector.attempts(delivery)
    assert scene.parents_sent() == [f"00-{ids(attempt)}-03"]
    assert (attempt.trace_id, attempt.kind) == (delivery.trace_id, Span.SPAN_KIND_CLIENT)
    assert delivery.start_time_unix_nano < attempt.start_time_unix_nano
    assert attempt.end_time_unix_nano < delivery.end_time_unix_nano
    facts = values(delivery)
    assert (facts["messaging.kafka.offset"], facts["webhookd.outcome"]) == (0, "delivered")
    assert facts["messaging.consumer.group.name"] == f"webhooks-{scene.id}"
    assert values(attempt)["http.response.status_code"] == 200
    assert "hidden" not in str(collector.spans)


def test_record_alone_keeps_its_own_context_and_is_linked(running: Starts) -> None:
    with OtlpReceiver() as collector, running(collector.url, traces_sample_ratio=0.0) as scene:
        scene.produce(PARENT)
        scene.subscribe()
        collector.wait_until(lambda: len(collector.spans) == 2)
    (delivery,) = collector.deliveries()
    assert scene.parents_sent() == [PARENT]
    assert [linked(span) for span in (delivery, *collector.attempts(delivery))] == [[PARENT[3:52]]] * 2


def test_batch_has_the_context_of_its_request_and_links_to_its_records(running: Starts) -> None:
    parents = [f"00-{number:032x}-b7ad6b7169203331-01" for number in (1, 2)]
    with OtlpReceiver() as collector, running(collector.url) as scene:
        scene.produce(*parents, "")
        scene.subscribe(size=3)
        collector.wait_until(lambda: len(collector.spans) == 2)
    (delivery,) = collector.deliveries()
    (attempt,) = collector.attempts(delivery)
    assert scene.parents_sent() == [f"00-{ids(attempt)}-03"]
    assert linked(attempt) == [parent[3:52] for parent in parents]


def test_retry_belongs_to_the_same_trace(running: Starts) -> None:
    answers = iter([status(503)])
    with OtlpReceiver() as collector, running(collector.url, lambda _request: next(answers, OK)) as scene:
        scene.produce("")
        scene.subscribe()
        collector.wait_until(lambda: bool(collector.deliveries()) and len(collector.spans) == 3)
    (delivery,) = collector.deliveries()
    failed, retried = sorted(collector.attempts(delivery), key=lambda span: span.start_time_unix_nano)
    assert (values(failed)["error.type"], failed.status.code) == ("http_503", Status.STATUS_CODE_ERROR)
    assert (values(retried)["http.request.resend_count"], retried.status.code) == (1, Status.STATUS_CODE_UNSET)
    assert [event.name for event in delivery.events] == ["claimed", "retry_scheduled", "claimed"]
    assert (values(delivery)["webhookd.outcome"], values(delivery)["webhookd.attempts"]) == ("delivered", 2)


def test_what_is_not_sampled_is_not_sent(running: Starts) -> None:
    with OtlpReceiver() as collector:
        with running(collector.url, traces_sample_ratio=0.0) as scene:
            scene.produce("", UNSAMPLED)
            scene.subscribe()
            scene.receiver.wait_for_records(2)
        assert (collector.headers, sorted(scene.parents_sent())) == ([], ["", UNSAMPLED])


def test_deliveries_go_on_without_the_collector(running: Starts) -> None:
    with OtlpReceiver() as absent:
        url = absent.url
    with running(url) as scene:
        scene.produce(*[""] * 100)
        scene.subscribe()
        scene.receiver.wait_for_records(100)
        assert (scene.receiver.repeats, scene.receiver.out_of_order) == (0, 0)


def test_open_traces_are_sent_when_the_service_stops(running: Starts) -> None:
    with OtlpReceiver() as collector:
        with running(collector.url, lambda _request: status(503), retry_time_scale=4.0) as scene:
            scene.produce("")
            scene.subscribe()
            scene.receiver.wait(lambda: bool(scene.receiver.requests))
        (delivery,) = collector.deliveries()
    assert (values(delivery)["webhookd.outcome"], len(collector.attempts(delivery))) == ("stopped", 1)
