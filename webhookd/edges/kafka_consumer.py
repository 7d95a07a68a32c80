"""A member of one consumer group: batched reads, explicit positions, asynchronous commits.

Everything is called from the ingest loop's thread; the callbacks run inside `poll`. Only `close` blocks: call it on
another thread. No other method waits for a broker. Such a wait lasts until the connection's long poll ends, and every
other call of the same consumer, on any thread, would wait too.

    setting                    why
    auto.offset.reset=error    a position that Kafka does not have any more is reported, never skipped
    queued.*, fetch.*          a bounded queue; without fetch.queue.backoff.ms=10 a full queue sleeps for a second
    topic.metadata.refresh     new topics and partitions are found within 10 s
    enable.partition.eof       reports how far a partition was read where no record does so: transaction markers,
                               aborted and compacted records take offsets, but no consumer sees them
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import methodcaller
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from webhookd import logs
from webhookd.edges.kafka_connection import KafkaConnection
from webhookd.errors import GroupDenied
from webhookd.flow.monitoring.kafka_read_errors import ALL_PARTITIONS, GROUP
from webhookd.flow.offsets.commit_metadata import encode
from webhookd.flow.offsets.position import OffsetAndMetadata, Partition

POLL_RECORDS = 2000
FETCH_WAIT_S = 0.4
"""How long a broker holds an empty fetch. A partition whose queue is full is not in the current fetch, so it may wait
for as long. Each idle consumer sends a request at this interval, and there may be a thousand of them."""

QUEUE_KBYTES = 4096

GROUP_REFUSED = KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED).str()
"""librdkafka's text for this error: in a fatal error only the text shows the cause."""

_error = methodcaller("error")

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
        messages = self._consumer.consume(POLL_RECORDS, 0)
        if any(map(_error, messages)):
            return [message for message in messages if not self._is_error(message)]
        return messages

    def seek(self, offsets: Mapping[Partition, int]) -> None:
        """Continue to read these partitions at exactly these offsets; records fetched before are dropped.

        Raises KafkaException, and moves none of them, when one is not assigned.
        """
        self._consumer.incremental_unassign([_topic_partition(partition) for partition in offsets])
        self._consumer.incremental_assign(
            [_topic_partition(partition, offset) for partition, offset in offsets.items()]
        )

    def pause(self, partition: Partition) -> None:
        """Stop fetching a partition; its position stays, fetched records are dropped."""
        self._consumer.pause([_topic_partition(partition)])

    def resume(self, partition: Partition) -> None:
        """Fetch the partition again."""
        self._consumer.resume([_topic_partition(partition)])

    def commit(self, offsets: Mapping[Partition, OffsetAndMetadata]) -> None:
        """Start an asynchronous commit; returns at once. The callbacks get the result."""
        self._consumer.commit(offsets=_positions(offsets), asynchronous=True)

    def end_offset(self, partition: Partition) -> int | None:
        """Return the end offset of the last fetch; None before the first fetch. Returns at once."""
        offsets = self._consumer.get_watermark_offsets(_topic_partition(partition), cached=True)
        return offsets[1] if offsets[1] >= 0 else None

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
                self._callbacks.end_reached(_partition_of(message), message.offset() or 0)
            case KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001
                self._callbacks.position_required(_partition_of(message))
            case _:
                self._callbacks.failed(_partition_of(message), _error_name(error), error.str())
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
    config = reading_config() | {"group.id": group, "group.protocol": protocol}
    if protocol == "classic":
        config |= {"partition.assignment.strategy": "cooperative-sticky", "session.timeout.ms": 10_000}
    return config


def reading_config() -> dict[str, Any]:
    """The configuration of every consumer: the table above."""
    return {
        "client.id": "webhookd",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "error",
        "allow.auto.create.topics": False,
        "queued.min.messages": 20_000,
        "queued.max.messages.kbytes": QUEUE_KBYTES,
        "fetch.queue.backoff.ms": 10,
        "topic.metadata.refresh.interval.ms": 10_000,
        "reconnect.backoff.max.ms": 2_000,
        "socket.keepalive.enable": True,
    }


def _error_name(error: KafkaError) -> str:
    """An error's name in lower case, without the leading underscore of librdkafka's own errors."""
    return error.name().lower().lstrip("_")


def _partition_of(message: Message) -> Partition:
    """Return the partition, topic or group that an error is about. Without a topic the partition has no meaning."""
    topic, number = message.topic(), message.partition()
    if topic is None:
        return GROUP
    return Partition(topic, ALL_PARTITIONS if number is None else number)


def _topic_partition(partition: Partition, offset: int | None = None) -> TopicPartition:
    if offset is None:
        return TopicPartition(partition.topic, partition.number)
    return TopicPartition(partition.topic, partition.number, offset)


def _positions(offsets: Mapping[Partition, OffsetAndMetadata]) -> list[TopicPartition]:
    return [
        TopicPartition(p.topic, p.number, committed.offset, encode(committed.metadata))
        for p, committed in offsets.items()
    ]
