"""A broker is added to a running one, gets partitions, and is removed. Oracles: Kafka's metadata, and what is read.

Real: both brokers and Kafka's tools. tests/chaos/test_brokers_come_and_go.py does the same with three under load.
"""

from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from stack.errors import ChangeRefused
from stack.kafka import KafkaCluster
from stack.kafka_changes import Holding, KafkaChanges
from stack.service_group import ServiceGroup

TOPIC = "orders"
PARTITIONS = 3
DEADLINE_S = 60.0


@pytest.fixture
def kafka() -> Iterator[KafkaCluster]:
    with ServiceGroup() as services:
        started = services.start_kafka()
        services.wait_ready()
        yield started


def test_added_broker_leads_partitions_and_is_removed_without_loss(kafka: KafkaCluster) -> None:
    address = kafka.address
    admin = AdminClient({"bootstrap.servers": address, "log_level": 0})
    admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)])[TOPIC].result()
    publish(address)
    changes = KafkaChanges(kafka)

    added = changes.add_broker()
    assert (added, kafka.address) == (2, address)
    assert changes.give_share(added) == Holding(partitions=PARTITIONS, replicas=2, led=2)
    assert sorted(leaders(admin)) == [1, 2, 2]
    assert values(address) == ["0", "1", "2"]

    for node_id, reason in ((1, "it holds the quorum"), (7, "the brokers are 1, 2")):
        with pytest.raises(ChangeRefused, match=f"broker {node_id} cannot be removed: {reason}"):
            changes.remove_broker(node_id)

    changes.remove_broker(added)
    assert leaders(admin) == [1] * PARTITIONS
    assert values(address) == ["0", "1", "2"]
    assert kafka.node_ids == [1]
    assert kafka.next_id == 3


def leaders(admin: AdminClient) -> list[int]:
    return [one.leader for one in admin.list_topics(TOPIC, timeout=DEADLINE_S).topics[TOPIC].partitions.values()]


def publish(address: str) -> None:
    producer = Producer({"bootstrap.servers": address, "acks": "all"})
    for number in range(PARTITIONS):
        producer.produce(TOPIC, str(number).encode(), partition=number)
    assert producer.flush(DEADLINE_S) == 0


def values(address: str) -> list[str]:
    """All values, read by a client that knows only the first broker."""
    consumer = Consumer({"bootstrap.servers": address, "group.id": "g", "enable.auto.commit": False, "log_level": 0})
    with consumer:
        consumer.assign([TopicPartition(TOPIC, number, 0) for number in range(PARTITIONS)])
        messages = consumer.consume(PARTITIONS, timeout=DEADLINE_S)
        return sorted((message.value() or b"").decode() for message in messages)
