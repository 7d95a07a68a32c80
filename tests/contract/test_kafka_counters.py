"""The bytes of a topic by a broker's own counters. Oracle: the sizes of what is written and read. Real: the broker."""

from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from stack.kafka import KafkaCluster, KafkaOptions
from stack.kafka_counters import TopicBytes, topic_bytes
from stack.service_group import ServiceGroup

TOPIC, RECORDS, VALUE = "orders.v1", 40, b"x" * 1000
MOST_OVERHEAD = 1.2
"""Of a record batch and its records, with values of this size."""

DEADLINE_S = 60.0


@pytest.fixture
def kafka() -> Iterator[KafkaCluster]:
    with ServiceGroup() as services:
        started = services.start_kafka(KafkaOptions(jmx=True))
        services.wait_ready()
        yield started


def test_bytes_out_are_those_of_each_reader(kafka: KafkaCluster) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.address})
    admin.create_topics([NewTopic(TOPIC, 1, 1)])[TOPIC].result()
    produce(kafka.address)
    produced = topic_bytes(kafka.jmx_ports, TOPIC)
    assert RECORDS * len(VALUE) < produced.into < RECORDS * len(VALUE) * MOST_OVERHEAD
    assert produced.out == 0
    for _ in range(2):
        read(kafka.address)
    assert topic_bytes(kafka.jmx_ports, TOPIC).since(produced) == TopicBytes(0, 2 * produced.into)
    assert topic_bytes(kafka.jmx_ports, "another") == TopicBytes(0, 0)


def produce(address: str) -> None:
    producer = Producer({"bootstrap.servers": address})
    for _ in range(RECORDS):
        producer.produce(TOPIC, VALUE)
    assert producer.flush(DEADLINE_S) == 0


def read(address: str) -> None:
    consumer = Consumer({"bootstrap.servers": address, "group.id": "reader", "enable.auto.commit": False})
    consumer.assign([TopicPartition(TOPIC, 0, 0)])
    try:
        assert len(consumer.consume(RECORDS, DEADLINE_S)) == RECORDS
    finally:
        consumer.close()
