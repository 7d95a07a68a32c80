"""Produces a backlog: many records at once, before anything reads them."""

from collections.abc import Callable
from math import ceil

from confluent_kafka import Producer

from webhookd_load_test.benchmarks.kafka.benchmark_record import record

FLUSH_TIMEOUT_S = 120.0


def backlog(
    bootstrap_servers: str, topic: str, partitions: int, count: int, value_of: Callable[[int], bytes] = record
) -> None:
    """Produce `count` records, spread evenly over the partitions; returns when the broker has all of them.

    `value_of` makes the record of a number; the partitions get the same ones.
    """
    producer = Producer({"bootstrap.servers": bootstrap_servers, "linger.ms": 20, "batch.size": 1_000_000})
    for number in range(ceil(count / partitions)):
        value = value_of(number)
        for partition in range(min(partitions, count - number * partitions)):
            _produce(producer, topic, value, partition)
    if producer.flush(FLUSH_TIMEOUT_S):
        raise TimeoutError(f"not all of {topic} could be produced")


def _produce(producer: Producer, topic: str, value: bytes, partition: int) -> None:
    while True:
        try:
            producer.produce(topic, value, partition=partition)
        except BufferError:
            producer.poll(0.05)
        else:
            return
