"""Another worker finishes what a stopped worker has not finished. Oracles as in test_delivery.py.

The receiver blocks the first request until the test releases it. A lease expires after 10 s here, so what is sent again
sooner was requeued by the stopping worker.
"""

import json
import signal
import uuid
from collections.abc import Iterator
from threading import Event

import pytest

from tests.acceptance.conftest import Starts
from tests.harness.pipeline import Pipeline, until
from tests.harness.receiver import OK, Receiver, Request
from webhookd import clock
from webhookd.testing.http_endpoint import Answer

SETTINGS = {"WEBHOOKD_STOP_BUDGET_S": "3", "WEBHOOKD_LEASE_S": "4", "WEBHOOKD_REQUEST_DEADLINE_S": "6"}
SOONER_THAN_THE_BUDGET_S = 2.5
SOONER_THAN_A_LEASE_S = 8.0
RECORDS = 3


class Service:
    """The service, and its current worker."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.worker = "worker"

    def start_another(self) -> None:
        """Start another worker, which becomes the current one; returns when it consumes its queues."""
        self.worker = f"worker-{uuid.uuid4().hex}"
        self.pipeline.start(self.worker)
        until(lambda: "worker_ready" in self.pipeline.log(self.worker), "Celery consumes the queues")

    def begin_stop(self, worker: str) -> None:
        """Send the first signal; returns when the worker has received it."""
        self.pipeline.send_term(worker)
        until(lambda: '"event":"stopping"' in self.pipeline.log(worker), "the worker has received the signal")


@pytest.fixture(scope="module")
def services(start_pipeline: Starts) -> Iterator[Service]:
    """One service for all these tests."""
    with start_pipeline(**SETTINGS) as running:
        yield Service(running)


@pytest.fixture
def service(services: Service) -> Service:
    """The service with one worker, also after a failed test."""
    if not services.pipeline.runs(services.worker):
        services.start_another()
    return services


class Gate:
    """Blocks the first request; all others are answered at once."""

    def __init__(self) -> None:
        self.blocking = Event()
        self.opened = Event()

    def answer(self, _request: Request) -> Answer:
        """Acknowledge; the first request is answered when the gate opens."""
        if not self.blocking.is_set():
            self.blocking.set()
            self.opened.wait(60.0)
        return OK


@pytest.fixture
def gate() -> Iterator[Gate]:
    """A closed gate, which is opened by the test or at its end."""
    made = Gate()
    yield made
    made.opened.set()


@pytest.fixture
def receiver(gate: Gate) -> Iterator[Receiver]:
    """The endpoint behind the gate."""
    with Receiver(gate.answer) as made:
        yield made


class BlockedDelivery:
    """A subscription whose first request is blocked by the gate."""

    def __init__(self, service: Service, receiver: Receiver, gate: Gate) -> None:
        self._pipeline = service.pipeline
        self._receiver = receiver
        self._topic = self._pipeline.topic(partitions=1)
        self._id = self._pipeline.subscribe(receiver.url, self._topic)
        self._pipeline.produce(self._topic, [json.dumps({"n": n}).encode() for n in range(RECORDS)], partitions=1)
        assert gate.blocking.wait(60.0)

    def wait_arrived(self, patience_s: float = 60.0) -> None:
        """Wait until all records have arrived, in order, and are committed."""
        self._receiver.wait_for_records(RECORDS, patience_s)
        self._pipeline.wait_committed(self._id, self._topic)
        assert self._receiver.out_of_order == 0


@pytest.fixture
def blocked(service: Service, receiver: Receiver, gate: Gate) -> BlockedDelivery:
    """A subscription whose first request is blocked now."""
    return BlockedDelivery(service, receiver, gate)


def test_answer_within_the_budget_counts(
    service: Service, receiver: Receiver, gate: Gate, blocked: BlockedDelivery
) -> None:
    stopped = service.worker
    service.begin_stop(stopped)
    gate.opened.set()
    assert service.pipeline.exit_code(stopped) == 0
    service.start_another()
    blocked.wait_arrived()
    assert receiver.repeats == 0


def test_request_beyond_the_budget_is_sent_by_another_worker(service: Service, blocked: BlockedDelivery) -> None:
    stopped = service.worker
    service.start_another()
    assert service.pipeline.terminate(stopped) == 0
    blocked.wait_arrived(SOONER_THAN_A_LEASE_S)


def test_second_signal_ends_the_worker_at_once_and_loses_nothing(service: Service, blocked: BlockedDelivery) -> None:
    stopped = service.worker
    service.begin_stop(stopped)
    began = clock.monotonic()
    assert service.pipeline.terminate(stopped) == 128 + signal.SIGTERM
    assert clock.monotonic() - began < SOONER_THAN_THE_BUDGET_S
    service.start_another()
    blocked.wait_arrived()
