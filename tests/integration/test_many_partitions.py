"""A thousand partitions of one topic in a whole service: few requests, and no long iteration of the ingest loop.

Real: Kafka and everything of webhookd, in this process. The requests about offsets are counted on their way.
"""

import uuid
from collections.abc import Collection
from pathlib import Path

from confluent_kafka import Producer
from confluent_kafka.cimpl import NewTopic

from command.api_client import ManagementClient
from command.embedded import EmbeddedService
from command.run_subscription import RunOptions, register
from tests.harness.kafka_admin import admin_of
from tests.harness.receiver import Receiver
from webhookd.flow.offsets.position import OffsetAndMetadata, OffsetRange, Partition
from webhookd.settings import Settings
from workers.ingest.ports import Offsets

PARTITIONS = 1000
REQUESTS = 10
"""Two are enough: commits and offset ranges. On a slow machine a partition needs a position before the response is
there, or a leader is not known within the first second; those are looked up again, together."""

LONGEST_ITERATION_S = 5.0
"""A busy machine needs about a second for all the records of the first fetch. A request for each partition, one after
another, would take longer than this."""

PATIENCE_S = 120.0


class Counted:
    """Passes requests on to Kafka and keeps them."""

    def __init__(self, offsets: Offsets) -> None:
        self._offsets = offsets
        self.requests: list[str] = []

    def committed(
        self, group: str, partitions: Collection[Partition], timeout_s: float
    ) -> dict[Partition, OffsetAndMetadata | None]:
        self.requests.append(f"committed of {len(partitions)}")
        return dict(self._offsets.committed(group, partitions, timeout_s))

    def offset_ranges(self, partitions: Collection[Partition], timeout_s: float) -> dict[Partition, OffsetRange]:
        self.requests.append(f"bounds of {len(partitions)}")
        return dict(self._offsets.offset_ranges(partitions, timeout_s))

    def end_offsets(self, partitions: Collection[Partition], timeout_s: float) -> dict[Partition, int]:
        self.requests.append(f"ends of {len(partitions)}")
        return dict(self._offsets.end_offsets(partitions, timeout_s))


def many_partitions(kafka: str) -> str:
    """A topic with a record in each partition."""
    topic = f"many-{uuid.uuid4().hex[:8]}"
    admin_of(kafka).create_topics([NewTopic(topic, PARTITIONS)])[topic].result(PATIENCE_S)
    producer = Producer({"bootstrap.servers": kafka, "linger.ms": 5})
    for number in range(PARTITIONS):
        producer.produce(topic, b'{"number":%d}' % number, partition=number)
    assert producer.flush(PATIENCE_S) == 0
    return topic


def test_a_thousand_partitions_start_after_few_requests(kafka_bootstrap: str, tmp_path: Path) -> None:
    topic = many_partitions(kafka_bootstrap)
    service = EmbeddedService(
        Settings(
            kafka_bootstrap_servers=kafka_bootstrap,
            redis_url="memory://",
            api_auth="none",
            database_url=f"sqlite:///{tmp_path / 'webhookd.db'}",
            egress_allow=("127.0.0.0/8",),
        )
    )
    ingest = service._ingest
    counted = ingest.loop.offsets = Counted(ingest.loop.offsets)
    with Receiver() as receiver:
        try:
            client = ManagementClient(service.api_url)
            wishes = {"topics": [topic], "url": receiver.url, "filters": [], "batch_size": 100, "batch_interval": 1}
            register(client, RunOptions.of({**wishes, "headers": [], "start": "earliest", "on_filter_error": "drop"}))
            client.close()
            service.start()
            receiver.wait_for_records(PARTITIONS, PATIENCE_S)
            longest_s = ingest._watchdog.longest_iteration_s
        finally:
            service.stop(5.0)
    assert len(counted.requests) <= REQUESTS, counted.requests
    assert longest_s < LONGEST_ITERATION_S
