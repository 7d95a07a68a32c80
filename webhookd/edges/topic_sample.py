"""Reads the last records of topics, to show what filters would do with them. Nothing is committed or joined."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from webhookd.edges.kafka_topics import DENIED
from webhookd.flow.offsets.topic_metadata import TopicSample

SAMPLE_CONFIG: Final[Mapping[str, Any]] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    # Where a partition holds fewer records than are asked for, reading begins at the first one.
    "auto.offset.reset": "earliest",
    "enable.partition.eof": True,
    "fetch.wait.max.ms": 20,
    "queued.max.messages.kbytes": 4096,
}
"""Reading needs READ on the topic. The consumer has a group only because librdkafka requires one."""

RECORDS_A_PARTITION: Final = 5
"""The least that is read of a partition: the last record alone may be an unusual one."""

SAMPLE_BYTES: Final = 1 << 20
"""The most bytes of one topic, not counting the record with which it is exceeded."""

POLL_S: Final = 0.02


def last_records(
    consumer: Consumer, ends: Mapping[str, Mapping[int, int]], count: int, left_s: Callable[[], float]
) -> dict[str, TopicSample]:
    """Return the last records of each topic, `count` at most; blocks for at most about `left_s()`.

    `ends` are the end offsets. Offsets that librdkafka would look up itself take it half a second. A topic of which
    nothing could be read in time is left out.
    """
    reading = _Reading(ends, count)
    starts = [
        TopicPartition(topic, number, max(0, end - max(RECORDS_A_PARTITION, count // len(partitions))))
        for topic, partitions in ends.items()
        for number, end in partitions.items()
        if end > 0
    ]
    if starts:
        consumer.assign(starts)
    while starts and reading.open and left_s() > 0:
        for message in consumer.consume(count, min(POLL_S, left_s())):
            reading.take(message)
    read = {topic: TopicSample(values=tuple(values)) for topic, values in reading.values.items()}
    return read | {topic: TopicSample(denied=True) for topic in reading.denied}


class _Reading:
    """The values so far, and the partitions of each topic that have not been read to their end (`open`)."""

    def __init__(self, ends: Mapping[str, Mapping[int, int]], count: int) -> None:
        self._ends = ends
        self._count = count
        self._bytes: dict[str, int] = defaultdict(int)
        filled = {
            topic: {number for number, end in partitions.items() if end > 0} for topic, partitions in ends.items()
        }
        self.open = {topic: numbers for topic, numbers in filled.items() if numbers}
        self.values: dict[str, list[bytes | None]] = {topic: [] for topic in ends if topic not in self.open}
        self.denied: set[str] = set()

    def take(self, message: Message) -> None:
        topic, number, offset = message.topic(), message.partition(), message.offset()
        if topic is None or number is None or topic not in self.open:
            return
        error = message.error()
        if error is None:
            self._keep(topic, message.value())
            self._end(topic, number, at=(offset or 0) + 1)
        elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own code names
            # The last offsets may be those of transaction markers, which no consumer gets.
            self._end(topic, number, at=self._ends[topic][number])
        elif error.code() == DENIED:
            self.denied.add(topic)
            self.open.pop(topic)

    def _keep(self, topic: str, value: bytes | None) -> None:
        values = self.values.setdefault(topic, [])
        values.append(value)
        self._bytes[topic] += len(value or b"")
        if len(values) >= self._count or self._bytes[topic] > SAMPLE_BYTES:
            self.open.pop(topic)

    def _end(self, topic: str, number: int, *, at: int) -> None:
        if topic in self.open and at >= self._ends[topic][number]:
            self.open[topic].discard(number)
            if not self.open[topic]:
                self.values.setdefault(topic, [])
                self.open.pop(topic)
