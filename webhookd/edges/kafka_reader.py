"""One consumer group's consumer: batched reads, explicit positions, asynchronous commits.

Everything is called from the ingest loop's thread; the callbacks run inside `poll`. Nothing in here blocks but
`close`, which is for a thread of its own.

    setting                    why
    auto.offset.reset=error    a position that Kafka lost must be said, never jumped over
    queued.*, fetch.*          a bounded queue; without fetch.queue.backoff.ms=10 a full queue sleeps for a second
    topic.metadata.refresh     topics that appear or grow are found within 10 s
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import methodcaller
from threading import Lock
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from webhookd import logs
from webhookd.flow.memo import decode, encode
from webhookd.flow.position import Bounds, Mark, Partition

POLL_RECORDS = 2000
FETCH_WAIT_S = 0.4
"""How long a broker holds an empty fetch. A partition whose queue is full is left out of the fetch of the others, so
this is also how long it may stall; and a thousand idle consumers ask so often."""

QUEUE_KBYTES = 4096

_error = methodcaller("error")

_log = logs.get(__name__)
_library_log = logging.getLogger("librdkafka")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """What the owner hears, on the thread that polls.

    `commit_ended` hears how every commit ended: which partitions, and why it did not get there ("" when it did).
    """

    assigned: Callable[[Sequence[Partition]], None]
    revoked: Callable[[Sequence[Partition]], None]
    lost: Callable[[Sequence[Partition]], None]
    unpositioned: Callable[[Partition], None]
    uncommitted: Callable[[Sequence[Partition]], None]
    failed: Callable[[str, str], None]
    commit_ended: Callable[[Sequence[Partition], str], None] = lambda _partitions, _error: None


class KafkaReader:
    """A member of the group `group`, subscribed to `topics`."""

    def __init__(
        self,
        bootstrap_servers: str,
        group: str,
        topics: Sequence[str],
        protocol: str,
        listener: Listener,
        *,
        fetch_wait_s: float = FETCH_WAIT_S,
    ) -> None:
        self._listener = listener
        self._asking = Lock()
        config = member_config(bootstrap_servers, group, protocol) | {
            "fetch.wait.max.ms": round(fetch_wait_s * 1000),
            "on_commit": self._on_commit,
        }
        self._consumer = Consumer(config, logger=_library_log)
        self._consumer.subscribe(
            list(topics), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    def poll(self) -> list[Message]:
        """What has arrived, errors excluded; returns at once. Raises KafkaException when the consumer is beyond use."""
        messages = self._consumer.consume(POLL_RECORDS, 0)
        if any(map(_error, messages)):
            return [message for message in messages if not self._is_error(message)]
        return messages

    def reposition(self, partition: Partition, offset: int) -> None:
        """Read on from exactly `offset`; whatever was fetched before is dropped."""
        self._consumer.incremental_unassign([_topic_partition(partition)])
        self._consumer.incremental_assign([_topic_partition(partition, offset)])

    def pause(self, partition: Partition) -> None:
        """Stop fetching; the position stays, what was fetched is thrown away."""
        self._consumer.pause([_topic_partition(partition)])

    def resume(self, partition: Partition) -> None:
        """Fetch again."""
        self._consumer.resume([_topic_partition(partition)])

    def commit(self, marks: Mapping[Partition, Mark]) -> None:
        """Ask for a commit and return; a commit that failed is made good by the next one."""
        self._consumer.commit(offsets=_positions(marks), asynchronous=True)

    def committed(self, partitions: Sequence[Partition], timeout_s: float) -> dict[Partition, Mark | None]:
        """What is committed for these partitions, None where nothing is. Blocks; any thread."""
        asked = [_topic_partition(partition) for partition in partitions]
        with self._asking:
            answer = self._consumer.committed(asked, timeout=timeout_s)
        return {Partition(found.topic, found.partition): _mark(found) for found in answer}

    def bounds(self, partition: Partition, timeout_s: float) -> Bounds:
        """What is committed, and what Kafka holds. Blocks; any thread."""
        committed = self.committed([partition], timeout_s)[partition]
        with self._asking:
            offsets = self._consumer.get_watermark_offsets(_topic_partition(partition), timeout=timeout_s)
        if offsets is None:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001 - librdkafka's own code names
        return Bounds(committed=committed, first=offsets[0], end=offsets[1])

    def end(self, partition: Partition) -> int | None:
        """The end offset as the last fetch told it; None before the first. Returns at once."""
        offsets = self._consumer.get_watermark_offsets(_topic_partition(partition), cached=True)
        return offsets[1] if offsets[1] >= 0 else None

    def close(self, marks: Mapping[Partition, Mark]) -> None:
        """Commit a last time, leave the group and free everything. Blocks while the brokers are away."""
        try:
            if marks:
                self._consumer.commit(offsets=_positions(marks), asynchronous=False)
        except KafkaException as error:
            _log.warning("commit_failed", code="kafka_unavailable", detail=str(error))
        with self._asking:  # librdkafka frees what a question on another thread is using
            self._consumer.close()

    def _is_error(self, message: Message) -> bool:
        error = message.error()
        if error is None:
            return False
        topic, number = message.topic(), message.partition()
        if error.code() == KafkaError._AUTO_OFFSET_RESET and topic is not None and number is not None:  # noqa: SLF001
            self._listener.unpositioned(Partition(topic, number))
        elif error.code() == KafkaError._FATAL:  # noqa: SLF001
            raise KafkaException(error)
        else:
            self._listener.failed(error.name().lower().lstrip("_"), error.str())
        return True

    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        failed = [p for p in partitions if error is not None or p.error is not None]
        if failed:
            _log.warning("commit_failed", code="kafka_unavailable", detail=str(error or failed[0].error))
            self._listener.uncommitted([Partition(p.topic, p.partition) for p in failed])
        for p in partitions:
            reason = error or p.error
            self._listener.commit_ended([Partition(p.topic, p.partition)], str(reason) if reason is not None else "")

    def _on_assign(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._listener.assigned([Partition(p.topic, p.partition) for p in partitions])

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        consumer.resume(partitions)  # librdkafka keeps a pause for the day when the partition comes back
        self._listener.revoked([Partition(p.topic, p.partition) for p in partitions])

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        consumer.resume(partitions)
        self._listener.lost([Partition(p.topic, p.partition) for p in partitions])


def member_config(bootstrap_servers: str, group: str, protocol: str) -> dict[str, Any]:
    """What every member of a group is told: those of one group must agree on how partitions are assigned."""
    config: dict[str, Any] = {
        "bootstrap.servers": bootstrap_servers,
        "group.id": group,
        "client.id": "webhookd",
        "group.protocol": protocol,
        "enable.auto.commit": False,
        "auto.offset.reset": "error",
        "allow.auto.create.topics": False,
        "queued.min.messages": 20_000,
        "queued.max.messages.kbytes": QUEUE_KBYTES,
        "fetch.queue.backoff.ms": 10,
        "topic.metadata.refresh.interval.ms": 10_000,
        "reconnect.backoff.max.ms": 2_000,
        "socket.keepalive.enable": True,
    }
    if protocol == "classic":
        config |= {"partition.assignment.strategy": "cooperative-sticky", "session.timeout.ms": 10_000}
    return config


def _topic_partition(partition: Partition, offset: int | None = None) -> TopicPartition:
    if offset is None:
        return TopicPartition(partition.topic, partition.number)
    return TopicPartition(partition.topic, partition.number, offset)


def _positions(marks: Mapping[Partition, Mark]) -> list[TopicPartition]:
    return [TopicPartition(p.topic, p.number, mark.offset, encode(mark.memo)) for p, mark in marks.items()]


def _mark(found: TopicPartition) -> Mark | None:
    if found.error is not None:
        raise KafkaException(found.error)
    return Mark(found.offset, decode(found.metadata)) if found.offset >= 0 else None
