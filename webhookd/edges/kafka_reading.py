"""What the members of groups (kafka_consumer.py) and the shared reader (kafka_partition_reader.py) have in common.

setting                    why
auto.offset.reset=error    a position that Kafka does not have any more is reported, never skipped
queued.*, fetch.*          a bounded queue; without fetch.queue.backoff.ms=10 a full queue sleeps for a second
topic.metadata.refresh     new topics and partitions are found within 10 s
enable.partition.eof       reports how far a partition was read where no record does so: transaction markers,
aborted and compacted records take offsets, but no consumer sees them
"""

from collections.abc import Callable
from operator import methodcaller
from typing import Any, Final

from confluent_kafka import Consumer, Message, TopicPartition

from webhookd.flow.monitoring.kafka_read_errors import ALL_PARTITIONS, GROUP
from webhookd.flow.offsets.position import Partition

POLL_RECORDS: Final = 2000

_error = methodcaller("error")


def reading_config(queue_kbytes: int) -> dict[str, Any]:
    """The configuration of every consumer: the table above."""
    return {
        "client.id": "webhookd",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "error",
        "allow.auto.create.topics": False,
        "queued.min.messages": 20_000,
        "queued.max.messages.kbytes": queue_kbytes,
        "fetch.queue.backoff.ms": 10,
        "topic.metadata.refresh.interval.ms": 10_000,
        "reconnect.backoff.max.ms": 2_000,
        "socket.keepalive.enable": True,
    }


def poll(consumer: Consumer, is_error: Callable[[Message], bool]) -> list[Message]:
    """Return the messages that have arrived, without errors; returns at once. Raises KafkaException.

    `is_error` is called with each message when one of them is an error; it may raise.
    """
    messages = consumer.consume(POLL_RECORDS, 0)
    if any(map(_error, messages)):
        return [message for message in messages if not is_error(message)]
    return messages


def end_offset(consumer: Consumer, partition: Partition) -> int | None:
    """Return the end offset of the last fetch; None before the first fetch. Returns at once."""
    offsets = consumer.get_watermark_offsets(topic_partition(partition), cached=True)
    return offsets[1] if offsets[1] >= 0 else None


def partition_of(message: Message) -> Partition:
    """Return the partition, topic or group that an error is about. Without a topic the partition has no meaning."""
    topic, number = message.topic(), message.partition()
    if topic is None:
        return GROUP
    return Partition(topic, ALL_PARTITIONS if number is None else number)


def topic_partition(partition: Partition, offset: int | None = None) -> TopicPartition:
    """The partition in the form of Kafka's client."""
    if offset is None:
        return TopicPartition(partition.topic, partition.number)
    return TopicPartition(partition.topic, partition.number, offset)
