"""A member of one consumer group: batched reads, explicit positions, asynchronous commits.

Everything is called from the ingest loop's thread; the callbacks run inside `poll`. Only `close` blocks: call it on
another thread. No other method waits for a broker. Such a wait lasts until the connection's long poll ends, and every
other call of the same consumer, on any thread, would wait too. The settings are in kafka_reading.py.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from webhookd import logs
from webhookd.edges import kafka_reading
from webhookd.edges.kafka_connection import KafkaConnection
from webhookd.edges.kafka_reading import partition_of, reading_config, topic_partition
from webhookd.errors import GroupDenied
from webhookd.flow.offsets.commit_metadata import encode
from webhookd.flow.offsets.position import OffsetAndMetadata, Partition

FETCH_WAIT_S = 0.4
"""How long a broker holds an empty fetch. A partition whose queue is full is not in the current fetch, so it may wait
for as long. Each idle consumer sends a request at this interval, and there may be a thousand of them."""

QUEUE_KBYTES = 4096

GROUP_REFUSED = KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED).str()
"""librdkafka's text for this error: in a fatal error only the text shows the cause."""

_log = logs.get(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerCallbacks:
    """The owner's callbacks, called on the thread that polls.

    `position_required`: Kafka has no valid position of this partition; the owner must seek. `end_reached`: the
    partition was read up to (not including) this offset, and there is nothing more at the moment; the records before it
    are in the same poll or in an earlier one. `failed` gets a partition, a whole topic or the group (see
    flow/monitoring/kafka_read_errors.py), and the error's name in lower case and its text. `commit_failed` gets the
    partitions, and the same two texts.
    """

    assigned: Callable[[Sequence[Partition]], None]
    revoked: Callable[[Sequence[Partition]], None]
    lost: Callable[[Sequence[Partition]], None]
    position_required: Callable[[Partition], None]
    end_reached: Callable[[Partition, int], None]
    committed: Callable[[Sequence[Partition]], None]
    commit_failed: Callable[[Sequence[Partition], str, str], None]
    failed: Callable[[Partition, str, str], None]


class GroupConsumer:
    """A member of the group `group`, subscribed to `topics`."""

    def __init__(
        self,
        kafka: KafkaConnection,
        group: str,
        topics: Sequence[str],
        protocol: str,
        callbacks: ConsumerCallbacks,
        *,
        fetch_wait_s: float = FETCH_WAIT_S,
    ) -> None:
        self._callbacks = callbacks
        config = member_config(group, protocol) | {
            "fetch.wait.max.ms": round(fetch_wait_s * 1000),
            "on_commit": self._on_commit,
        }
        self._consumer = kafka.consumer(config)
        self._consumer.subscribe(
            list(topics), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    def poll(self) -> list[Message]:
        """Return the messages that have arrived, without errors; returns at once.

        Raises KafkaException after a fatal error, or GroupDenied if its cause is that webhookd may not use the group.
        Only the consumer protocol raises GroupDenied; with the classic protocol the consumer keeps trying.
        """
        return kafka_reading.poll(self._consumer, self._is_error)

    def seek(self, offsets: Mapping[Partition, int]) -> None:
        """Continue to read these partitions at exactly these offsets; records fetched before are dropped.

        Raises KafkaException, and moves none of them, when one is not assigned.
        """
        self._consumer.incremental_unassign([topic_partition(partition) for partition in offsets])
        self._consumer.incremental_assign([topic_partition(partition, offset) for partition, offset in offsets.items()])

    def pause(self, partition: Partition) -> None:
        """Stop fetching a partition; its position stays, fetched records are dropped."""
        self._consumer.pause([topic_partition(partition)])

    def resume(self, partition: Partition) -> None:
        """Fetch the partition again."""
        self._consumer.resume([topic_partition(partition)])

    def commit(self, offsets: Mapping[Partition, OffsetAndMetadata]) -> None:
        """Start an asynchronous commit; returns at once. The callbacks get the result."""
        self._consumer.commit(offsets=_positions(offsets), asynchronous=True)

    def end_offset(self, partition: Partition) -> int | None:
        """Return the end offset of the last fetch; None before the first fetch. Returns at once."""
        return kafka_reading.end_offset(self._consumer, partition)

    def close(self, offsets: Mapping[Partition, OffsetAndMetadata]) -> None:
        """Commit a last time, leave the group and free all resources; it is the last call.

        Blocks while the brokers are unreachable.
        """
        try:
            if offsets:
                self._consumer.commit(offsets=_positions(offsets), asynchronous=False)
        except KafkaException as error:
            _log.warning("commit_failed", code="kafka_unavailable", detail=str(error))
        self._consumer.close()
        # A closed consumer keeps its thread-specific data key, of which a process has few, until it is freed. It and
        # this object refer to each other: it would be freed only when Python's cyclic garbage collector comes by.
        del self._consumer

    def _is_error(self, message: Message) -> bool:
        error = message.error()
        if error is None:
            return False
        match error.code():
            case KafkaError._FATAL:  # noqa: SLF001 - librdkafka's own code names
                raise GroupDenied(error.str()) if GROUP_REFUSED in error.str() else KafkaException(error)
            case KafkaError._PARTITION_EOF:  # noqa: SLF001
                self._callbacks.end_reached(partition_of(message), message.offset() or 0)
            case KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001
                self._callbacks.position_required(partition_of(message))
            case _:
                self._callbacks.failed(partition_of(message), _error_name(error), error.str())
        return True

    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        failures = {Partition(p.topic, p.partition): p.error or error for p in partitions}
        by_error = defaultdict(list)
        for partition, failure in failures.items():
            by_error[(_error_name(failure), failure.str()) if failure else None].append(partition)
        for reason, concerned in by_error.items():
            if reason is None:
                self._callbacks.committed(concerned)
            else:
                _log.warning("commit_failed", code=reason[0], detail=reason[1])
                self._callbacks.commit_failed(concerned, *reason)

    def _on_assign(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._callbacks.assigned([Partition(p.topic, p.partition) for p in partitions])

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        consumer.resume(partitions)  # librdkafka would keep the pause until the partition is assigned again
        self._callbacks.revoked([Partition(p.topic, p.partition) for p in partitions])

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        consumer.resume(partitions)
        self._callbacks.lost([Partition(p.topic, p.partition) for p in partitions])


def member_config(group: str, protocol: str) -> dict[str, Any]:
    """The configuration of every member: members of one group must agree on how partitions are assigned."""
    config = reading_config(QUEUE_KBYTES) | {"group.id": group, "group.protocol": protocol}
    if protocol == "classic":
        config |= {"partition.assignment.strategy": "cooperative-sticky", "session.timeout.ms": 10_000}
    return config


def _error_name(error: KafkaError) -> str:
    """An error's name in lower case, without the leading underscore of librdkafka's own errors."""
    return error.name().lower().lstrip("_")


def _positions(offsets: Mapping[Partition, OffsetAndMetadata]) -> list[TopicPartition]:
    return [
        TopicPartition(p.topic, p.number, committed.offset, encode(committed.metadata))
        for p, committed in offsets.items()
    ]
