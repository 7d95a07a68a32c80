"""Reads partitions that its owner chooses, without being a member of a group and without committing anything.

Everything is called from the ingest loop's thread; the callbacks run inside `poll`. Only `close` blocks. librdkafka
requires a group and looks up its coordinator, but never joins it for partitions that are assigned by hand.

    setting             why
    fetch.wait.max.ms   one reader sends few requests, and a partition that is added waits for the current one to end
    the others          as those of the members (kafka_reading.py)
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message

from webhookd.edges import kafka_reading
from webhookd.edges.kafka_connection import KafkaConnection
from webhookd.edges.kafka_reading import partition_of, reading_config, topic_partition
from webhookd.flow.monitoring.kafka_read_errors import GROUP as NO_PARTITION
from webhookd.flow.offsets.position import Partition

GROUP: Final = "webhooks-reader"
"""A name that the operators' rules for the groups of subscriptions also allow."""

FETCH_WAIT_S: Final = 0.1

QUEUE_KBYTES: Final = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderCallbacks:
    """The owner's callbacks, called on the thread that polls.

    `end_reached`: a partition was read up to (not including) this offset, and there is nothing more at the moment; the
    records before it are in the same poll or in an earlier one. `position_required`: Kafka does not have the position
    of this partition any more. `failed`: Kafka does not let this partition, or this topic (number ALL_PARTITIONS), be
    read; it gets the error's text.
    """

    end_reached: Callable[[Partition, int], None]
    position_required: Callable[[Partition], None]
    failed: Callable[[Partition, str], None]


class PartitionReader:
    """A consumer of partitions that are added and removed one by one."""

    def __init__(
        self, kafka: KafkaConnection, callbacks: ReaderCallbacks, *, fetch_wait_s: float = FETCH_WAIT_S
    ) -> None:
        self._callbacks = callbacks
        config = reading_config(QUEUE_KBYTES) | {
            "group.id": GROUP,
            "fetch.wait.max.ms": round(fetch_wait_s * 1000),
        }
        self._consumer = kafka.consumer(config)

    def add(self, offsets: Mapping[Partition, int]) -> None:
        """Read these partitions from these offsets. Raises KafkaException when one is read already."""
        self._consumer.incremental_assign([topic_partition(p, at) for p, at in offsets.items()])

    def remove(self, partitions: Collection[Partition]) -> None:
        """Read these partitions no more; records that were fetched are dropped. Raises KafkaException."""
        self._consumer.incremental_unassign([topic_partition(p) for p in partitions])

    def poll(self) -> list[Message]:
        """Return the messages that have arrived, without errors; returns at once. Raises KafkaException."""
        return kafka_reading.poll(self._consumer, self._is_error)

    def end_offset(self, partition: Partition) -> int | None:
        """Return the end offset of the last fetch; None before the first fetch. Returns at once."""
        return kafka_reading.end_offset(self._consumer, partition)

    def close(self) -> None:
        """Free all resources; it is the last call. Blocks while the brokers are unreachable."""
        self._consumer.close()
        del self._consumer  # see GroupConsumer.close

    def _is_error(self, message: Message) -> bool:
        error = message.error()
        if error is None:
            return False
        partition = partition_of(message)
        match error.code():
            case KafkaError._FATAL:  # noqa: SLF001 - librdkafka's own code names
                raise KafkaException(error)
            case KafkaError._PARTITION_EOF:  # noqa: SLF001
                self._callbacks.end_reached(partition, message.offset() or 0)
            case KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001
                self._callbacks.position_required(partition)
            case _ if partition != NO_PARTITION:  # connections come back by themselves
                self._callbacks.failed(partition, error.str())
        return True
