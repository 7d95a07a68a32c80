"""A service whose ingest process has room for one subscription: owners and operators learn that another one waits.

Real: the embedded service, its API and SQLite. Kafka is librdkafka's mock cluster; only the number and the
patience are the test's.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.harness.embedded import Embedded
from tests.harness.pipeline import PATIENCE_S, subscription_body, until
from tests.harness.receiver import Receiver
from webhookd.edges.kafka_connection import KafkaConnection
from webhookd.flow.monitoring import system_faults
from webhookd.testing.mock_cluster import MockCluster
from workers.ingest import process

TOPIC = "orders"


@pytest.fixture
def cluster() -> MockCluster:
    made = MockCluster()
    made.create_topic(TOPIC)
    return made


@pytest.fixture
def service(cluster: MockCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Embedded]:
    monkeypatch.setattr(process, "subscription_limit", lambda: 1)
    monkeypatch.setattr(system_faults, "FAULT_AFTER_S", 0.0)  # it is measured elsewhere
    running = Embedded(KafkaConnection(cluster.bootstrap_servers), tmp_path)
    yield running
    running.close()


def test_subscription_without_room_is_reported_until_it_delivers(cluster: MockCluster, service: Embedded) -> None:
    with Receiver() as receiver:
        first, second = (
            str(service.api.register(subscription_body(receiver.url, TOPIC, "earliest"))["id"]) for _ in range(2)
        )
        until(lambda: "ingest_full" in service.faults, "operators are told")
        assert service.faults["ingest_full"].startswith("1 subscriptions are not run: the ingest process runs 1 ")
        told = {id_: service.api.status(id_) for id_ in (first, second)}
        waits = next(id_ for id_, status in told.items() if status["reason"] == "ingest_full")
        assert (told[waits]["status"], told[waits]["delivery"]["state"]) == ("unhealthy", "stopped")
        runs = next(id_ for id_ in told if id_ != waits)
        requests.delete(service.url(f"/1/Subscription/{runs}"), timeout=PATIENCE_S).raise_for_status()
        until(lambda: service.api.status(waits)["status"] == "healthy", "it runs")
        until(lambda: "ingest_full" not in service.faults, "the fault is over")
        cluster.producer.produce(TOPIC, b"{}")
        cluster.producer.flush(10.0)
        until(lambda: service.api.status(waits)["counters"]["delivered"] == 1, "it delivers")
