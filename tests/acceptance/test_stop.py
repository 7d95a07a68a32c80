"""What a stopped worker leaves behind: nothing that another one does not finish. Oracles as in test_delivery.py.

The receiver holds the first request for a record as long as the test says. A lease takes 10 s to run out here, so
what is sent again sooner was given back in order.
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

SETTINGS = {"WEBHOOKD_STOP_BUDGET_S": "3", "WEBHOOKD_LEASE_S": "4", "WEBHOOKD_REQUEST_DEADLINE_S": "6"}
SOONER_THAN_THE_BUDGET_S = 2.5
SOONER_THAN_A_LEASE_S = 8.0
RECORDS = 3


class Service:
    """The service, and the one worker it has while no test starts another."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.worker = "worker"

    def start_another(self) -> None:
        """Another worker, which consumes when this returns, and is the next test's."""
        self.worker = f"worker-{uuid.uuid4().hex}"
        self.pipeline.start(self.worker)
        until(lambda: "webhookd.first" in self.pipeline.log(self.worker), "Celery says what it consumes")

    def begin_stop(self, worker: str) -> None:
        """The first signal, which the worker has heard when this returns."""
        self.pipeline.send_term(worker)
        until(lambda: '"event":"worker_stopping"' in self.pipeline.log(worker), "the worker has heard the signal")


@pytest.fixture(scope="module")
def services(start_pipeline: Starts) -> Iterator[Service]:
    """One for all these tests."""
    with start_pipeline(**SETTINGS) as running:
        yield Service(running)


@pytest.fixture
def service(services: Service) -> Service:
    """With one worker, also when a test before failed half-way."""
    if not services.pipeline.runs(services.worker):
        services.start_another()
    return services


class Gate:
    """Holds the first request that comes; all others are answered at once."""

    def __init__(self) -> None:
        self.held = Event()
        self.opened = Event()

    def answer(self, _request: Request) -> bytes:
        """Acknowledge, the first one when the gate opens."""
        if not self.held.is_set():
            self.held.set()
            self.opened.wait(60.0)
        return OK


@pytest.fixture
def gate() -> Iterator[Gate]:
    """Closed, until the test opens it or ends."""
    made = Gate()
    yield made
    made.opened.set()


@pytest.fixture
def receiver(gate: Gate) -> Iterator[Receiver]:
    """The endpoint behind the gate."""
    with Receiver(gate.answer) as made:
        yield made


class Held:
    """A subscription whose first record the receiver holds."""

    def __init__(self, service: Service, receiver: Receiver, gate: Gate) -> None:
        self._pipeline = service.pipeline
        self._receiver = receiver
        self._topic = self._pipeline.topic(partitions=1)
        self._id = self._pipeline.subscribe(receiver.url, self._topic)
        self._pipeline.produce(self._topic, [json.dumps({"n": n}).encode() for n in range(RECORDS)], partitions=1)
        assert gate.held.wait(60.0)

    def arrives(self, patience_s: float = 60.0) -> None:
        """All of it, in order and committed."""
        self._receiver.wait_for_records(RECORDS, patience_s)
        self._pipeline.wait_committed(self._id, self._topic)
        assert self._receiver.out_of_order == 0


@pytest.fixture
def held(service: Service, receiver: Receiver, gate: Gate) -> Held:
    """It is held now."""
    return Held(service, receiver, gate)


def test_answer_within_the_budget_counts(service: Service, receiver: Receiver, gate: Gate, held: Held) -> None:
    stopped = service.worker
    service.begin_stop(stopped)
    gate.opened.set()
    assert service.pipeline.exit_code(stopped) == 0
    service.start_another()
    held.arrives()
    assert receiver.repeats == 0


def test_request_beyond_the_budget_is_sent_by_another_worker(service: Service, held: Held) -> None:
    stopped = service.worker
    service.start_another()
    assert service.pipeline.terminate(stopped) == 0
    held.arrives(SOONER_THAN_A_LEASE_S)


def test_second_signal_ends_the_worker_at_once_and_loses_nothing(service: Service, held: Held) -> None:
    stopped = service.worker
    service.begin_stop(stopped)
    began = clock.monotonic()
    assert service.pipeline.terminate(stopped) == 128 + signal.SIGTERM
    assert clock.monotonic() - began < SOONER_THAN_THE_BUDGET_S
    service.start_another()
    held.arrives()
