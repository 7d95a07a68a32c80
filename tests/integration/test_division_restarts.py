"""Ingest stops while a part of a refused batch is under way, and another process reads the batch anew.

Real: the ingest processes, one after another, and the worker with its HTTP client, which goes on meanwhile. Kafka is
librdkafka's mock cluster, and the queue is in memory. Oracles: the receiver, the rows of dead letters, the commit.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from threading import Event

import pytest
from pydantic import SecretStr

from tests.harness.databases import create_tables
from tests.harness.lanes import offsets_in
from tests.harness.pipeline import until
from tests.harness.receiver import OK, PATIENCE_S, Receiver, Request, status
from tests.harness.secret_keys import KEY
from tests.harness.subscriptions import ID, subscription
from webhookd.edges.kafka_connection import KafkaConnection
from webhookd.edges.partition_offsets import PartitionOffsets
from webhookd.flow.destination import Destination
from webhookd.flow.offsets.position import Partition
from webhookd.flow.subscription import Batching, OnExhausted, OnRejected, Retry, Source, Start, Subscription
from webhookd.settings import Settings
from webhookd.store import dead_letters, subscriptions
from webhookd.testing.http_endpoint import Answer
from webhookd.testing.mock_cluster import MockCluster
from workers.delivery.process import WorkerProcess
from workers.edges import build_edges
from workers.embedded_worker import EmbeddedWorker
from workers.ingest.process import IngestProcess
from workers.task_names import QUEUES

ZERO = Partition("orders", 0)
RECORDS, POISONED = 8, 5
THREADS = 8
UNDER_WAY: tuple[tuple[int, ...], ...] = ((0, 1, 2, 3), (4, 5), (POISONED,), (6,))
"""Ingest stops at these parts: an accepted one, one that is divided again, the refused record, and one behind it."""


class Endpoint:
    """Answers 422 if the poisoned record is among those of a request. Each part is kept open once, until `release`."""

    def __init__(self) -> None:
        self.held = {part: Event() for part in UNDER_WAY}
        self._release = {part: Event() for part in UNDER_WAY}

    def answer(self, request: Request) -> Answer:
        """Note that a part is under way, and respond."""
        offsets = tuple(offset for _, offset in offsets_in(request.body))
        if offsets in self.held and not self.held[offsets].is_set():
            self.held[offsets].set()
            self._release[offsets].wait(PATIENCE_S)
        return status(422) if POISONED in offsets else OK

    def release(self, offsets: tuple[int, ...]) -> None:
        """Respond to the part that is kept open."""
        self._release[offsets].set()


class Service:
    """A worker, and one ingest process after another on the same Kafka, queue and database."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.edges = build_edges(settings)
        self._worker_process = WorkerProcess(settings, self.edges, None)
        self._worker = EmbeddedWorker(self._worker_process.app, THREADS)
        self._worker.start()
        self._worker_process.start(queues=list(QUEUES.values()), threads=THREADS, stuck=lambda: None)
        self._ingest = self._started()

    def restart_ingest(self) -> None:
        """End the ingest process without waiting for what is in flight, and start another one."""
        self._ingest.stop(0.0)
        self._ingest = self._started()

    def close(self) -> None:
        """End everything."""
        self._ingest.stop(0.0)
        self._worker_process.stop(1.0)
        self._worker.stop(PATIENCE_S)
        self.edges.close()

    def _started(self) -> IngestProcess:
        ingest = IngestProcess(
            self._settings,
            self.edges,
            self._worker_process.app,
            lambda error: pytest.fail(str(error)),
            None,
        )
        ingest.start()
        return ingest


@pytest.fixture
def cluster() -> MockCluster:
    made = MockCluster()
    made.create_topic(ZERO.topic)
    return made


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint()


@pytest.fixture
def receiver(endpoint: Endpoint) -> Iterator[Receiver]:
    with Receiver(endpoint.answer) as made:
        yield made


@pytest.fixture
def service(cluster: MockCluster, receiver: Receiver, tmp_path: Path) -> Iterator[Service]:
    settings = Settings(
        kafka_bootstrap_servers=cluster.bootstrap_servers,
        kafka_group_protocol="consumer",
        kafka_fetch_wait_s=0.01,
        redis_url="memory://",
        metrics_bind="",
        api_auth="none",
        database_url=f"sqlite:///{tmp_path / 'webhookd.db'}",
        secret_keys=SecretStr(KEY),
        egress_allow=("127.0.0.0/8",),
    )
    create_tables(settings.database_url)
    with ExitStack() as exits:
        edges = build_edges(settings)
        exits.callback(edges.close)
        with edges.database.transaction() as session:
            subscriptions.insert(session, splitting(receiver.url))
        made = Service(settings)
        exits.callback(made.close)
        yield made


def more_than(receiver: Receiver, requests: int) -> bool:
    return len(receiver.requests) > requests


def splitting(url: str) -> Subscription:
    return subscription(
        destination=Destination(url=url),
        sources=(Source(topic=ZERO.topic, start=Start.EARLIEST),),
        batching=Batching(max_batch_size=RECORDS),
        retry=Retry(on_exhausted=OnExhausted.DEAD_LETTER, on_rejected=OnRejected.SPLIT),
    )


def test_batch_is_divided_anew_and_nothing_is_lost(
    cluster: MockCluster, endpoint: Endpoint, receiver: Receiver, service: Service
) -> None:
    for offset in range(RECORDS):
        cluster.producer.produce(ZERO.topic, b'{"number":%d}' % offset, partition=0)
    assert cluster.producer.flush(PATIENCE_S) == 0
    for part in UNDER_WAY:
        assert endpoint.held[part].wait(PATIENCE_S), f"{part} is sent"
        before = len(receiver.requests)
        service.restart_ingest()
        receiver.wait(partial(more_than, receiver, before))
        endpoint.release(part)
    receiver.wait_for_records(RECORDS - 1)
    offsets = PartitionOffsets(KafkaConnection(cluster.bootstrap_servers))

    def committed() -> int:
        found = offsets.committed(f"webhooks-{ID}", [ZERO], PATIENCE_S)[ZERO]
        return 0 if found is None else found.offset

    until(lambda: committed() == RECORDS, "everything is committed")
    with service.edges.database.transaction() as session:
        dead = dead_letters.page(session, ID, after=None, limit=10).dead_letters
    assert [(one.dead_letter.offset, one.dead_letter.cause) for one in dead] == [(POISONED, "http_422")]
    assert receiver.lanes["orders", 0].offsets == [0, 1, 2, 3, 4, 6, 7]
