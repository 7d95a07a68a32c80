"""PartitionReader on a real cluster and on librdkafka's mock. Oracle: the offsets of the records."""

from collections.abc import Iterator
from threading import Event

import pytest
from confluent_kafka import KafkaException, Message

from tests.harness.clusters import PATIENCE_S, POLL_INTERVAL_S, Cluster, open_cluster
from tests.harness.kafka_admin import admin_of
from webhookd import clock
from webhookd.edges.kafka_partition_reader import GROUP, PartitionReader, ReaderCallbacks
from webhookd.flow.offsets.position import Partition


@pytest.fixture(params=[pytest.param("real", marks=pytest.mark.kafka), "mock"], scope="module")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """The cluster."""
    with open_cluster(request.param) as opened:
        yield opened


class Reading:
    """A reader that keeps all that it was told."""

    def __init__(self, cluster: Cluster) -> None:
        self.ends: list[tuple[Partition, int]] = []
        self.unpositioned: list[Partition] = []
        self.failed: list[tuple[Partition, str]] = []
        self.messages: list[Message] = []
        self.reader = PartitionReader(
            cluster.connection,
            ReaderCallbacks(
                end_reached=lambda partition, offset: self.ends.append((partition, offset)),
                position_required=self.unpositioned.append,
                failed=lambda place, text: self.failed.append((place, text)),
            ),
        )

    def read(self) -> list[tuple[str | None, int | None]]:
        return [(message.topic(), message.offset()) for message in self.messages]

    def until(self, end: tuple[Partition, int]) -> list[tuple[str | None, int | None]]:
        """Poll until this end was reached; returns what was read since the last call."""
        deadline, pause = clock.monotonic() + PATIENCE_S, Event()
        self.messages.clear()
        while end not in self.ends and not (self.failed or self.unpositioned):
            assert clock.monotonic() < deadline, f"it did not reach {end}: {self.ends}"
            self.messages += self.reader.poll()
            pause.wait(POLL_INTERVAL_S)
        return self.read()


@pytest.fixture
def reading(cluster: Cluster) -> Iterator[Reading]:
    """A reader without partitions."""
    made = Reading(cluster)
    yield made
    made.reader.close()


def test_partitions_are_added_and_removed_while_others_are_read(cluster: Cluster, reading: Reading) -> None:
    one, two = (Partition(cluster.create(), 0) for _ in range(2))
    cluster.produce(one.topic, 5)
    cluster.produce(two.topic, 5)
    reading.reader.add({one: 3})
    assert reading.until((one, 5)) == [(one.topic, 3), (one.topic, 4)]
    reading.reader.add({two: 4})
    assert reading.until((two, 5)) == [(two.topic, 4)]
    reading.reader.remove([one])
    cluster.produce(one.topic, 1)
    cluster.produce(two.topic, 1)
    assert reading.until((two, 6)) == [(two.topic, 5)]
    reading.reader.add({one: 5})
    assert reading.until((one, 6)) == [(one.topic, 5)]
    assert (reading.reader.end_offset(one), reading.reader.end_offset(Partition(one.topic, 3))) == (6, None)


def test_partition_that_was_removed_returns_nothing_stale(cluster: Cluster, reading: Reading) -> None:
    place = Partition(cluster.create(), 0)
    cluster.produce(place.topic, 3000)
    for offset in (0, 2500, 100, 2990):
        reading.ends.clear()
        reading.reader.add({place: offset})
        assert reading.until((place, 3000)) == [(place.topic, at) for at in range(offset, 3000)]
        reading.reader.remove([place])


def test_partition_is_not_added_twice(cluster: Cluster, reading: Reading) -> None:
    place = Partition(cluster.create(), 0)
    cluster.produce(place.topic, 1)
    reading.reader.add({place: 0})
    with pytest.raises(KafkaException):
        reading.reader.add({place: 0})


def test_position_that_is_not_there_is_reported(cluster: Cluster, reading: Reading) -> None:
    place = Partition(cluster.create(), 0)
    cluster.produce(place.topic, 1)
    reading.reader.add({place: 99})
    reading.until((place, 1))
    assert (reading.unpositioned, reading.failed) == ([place], [])


def test_group_is_never_made(cluster: Cluster, reading: Reading) -> None:
    if not cluster.real:
        pytest.skip("the mock lists no groups")
    place = Partition(cluster.create(), 0)
    cluster.produce(place.topic, 1)
    reading.reader.add({place: 0})
    reading.until((place, 1))
    groups = admin_of(cluster.bootstrap_servers).list_consumer_groups().result(PATIENCE_S)
    assert GROUP not in {group.group_id for group in groups.valid}
