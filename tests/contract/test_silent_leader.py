"""A frozen broker, on a cluster of the test's own: offsets of its partitions are unknown, those of others are known.

librdkafka 2.16 reports success for a ListOffsets whose leader did not answer in time, with the offset -1001.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from stack.kafka import KafkaCluster, KafkaOptions
from stack.service_group import ServiceGroup
from tests.harness.clusters import PATIENCE_S, Cluster
from tests.harness.kafka_admin import admin_of
from tests.harness.pipeline import until
from webhookd.edges.kafka_admin import KafkaAdmin
from webhookd.edges.kafka_connection import KafkaConnection
from webhookd.edges.partition_offsets import PartitionOffsets
from webhookd.errors import KafkaUnavailable
from webhookd.flow.offsets.position import Partition

PARTITIONS = 6
FROZEN = 2
SHORT_S = 1.0
NEVER_REPLACED = {"broker.session.timeout.ms": "600000"}
"""A freeze may last long on a slow machine. The frozen broker's partitions must not get other leaders, which answer."""


@pytest.fixture(scope="module")
def brokers(kafka_bootstrap: str) -> Iterator[KafkaCluster]:
    """Three brokers of the test's own; the shared one shows that Kafka can be started."""
    assert kafka_bootstrap
    with ServiceGroup() as session:
        started = session.start_kafka(KafkaOptions(brokers=3, settings=NEVER_REPLACED))
        session.wait_ready()
        yield started


def led_topic(brokers: KafkaCluster) -> str:
    """A topic whose partitions are led by all three brokers, and are all known."""
    topic = Cluster(brokers.address, real=True).create(PARTITIONS)
    offsets = PartitionOffsets(KafkaConnection(brokers.address))
    until(
        lambda: len(offsets.end_offsets([Partition(topic, n) for n in range(PARTITIONS)], SHORT_S)) == PARTITIONS,
        "leaders",
    )
    return topic


@contextmanager
def frozen(brokers: KafkaCluster) -> Iterator[None]:
    brokers.signal_broker(FROZEN, signal.SIGSTOP)
    try:
        yield
    finally:
        brokers.signal_broker(FROZEN, signal.SIGCONT)


def test_only_the_partitions_of_a_silent_leader_are_left_out(brokers: KafkaCluster) -> None:
    offsets = PartitionOffsets(KafkaConnection(brokers.address))
    until(lambda: all_others_answered(brokers, offsets, led_topic(brokers)), "answers for the partitions of the others")


def all_others_answered(brokers: KafkaCluster, offsets: PartitionOffsets, topic: str) -> bool:
    """Whether all other partitions were answered. None is if the look-up of the leaders went to the frozen broker."""
    led, everything = led_by_frozen(brokers, topic), {Partition(topic, n) for n in range(PARTITIONS)}
    assert len(led) > 0
    offsets.offset_ranges(everything, PATIENCE_S)  # connected to all three
    with frozen(brokers):
        bounds, ends = set(offsets.offset_ranges(everything, SHORT_S)), set(offsets.end_offsets(everything, SHORT_S))
    assert not led & (bounds | ends)
    return bounds == ends == everything - led


def led_by_frozen(brokers: KafkaCluster, topic: str) -> set[Partition]:
    found = admin_of(brokers.address).list_topics(topic, timeout=PATIENCE_S).topics[topic].partitions
    return {Partition(topic, n) for n, partition in found.items() if partition.leader == FROZEN}


def test_unknown_end_is_not_a_start_offset(brokers: KafkaCluster) -> None:
    topic = led_topic(brokers)
    assert len(led_by_frozen(brokers, topic)) > 0
    offsets = KafkaAdmin(KafkaConnection(brokers.address))
    assert offsets.end_offsets([topic], PATIENCE_S) == {topic: dict.fromkeys(range(PARTITIONS), 0)}
    with frozen(brokers), pytest.raises(KafkaUnavailable):
        offsets.end_offsets([topic], SHORT_S)
