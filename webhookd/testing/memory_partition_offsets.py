"""Partitions and what groups have committed in them, in memory, behind the same questions as the real Kafka."""

from collections.abc import Collection

from confluent_kafka import KafkaError, KafkaException

from webhookd.flow.offsets.position import OffsetAndMetadata, OffsetRange, Partition


class MemoryPartitionOffsets:
    """What PartitionOffsets answers, told by the test: `held` and `marks` are set, `questions` is read.

    What is in `silent` gets no answer, as with a leader that is down; with `away` set nobody answers.
    """

    def __init__(self) -> None:
        self.held: dict[Partition, OffsetRange] = {}
        self.marks: dict[str, dict[Partition, OffsetAndMetadata]] = {}
        self.silent: set[Partition] = set()
        self.away = False
        self.questions: list[tuple[str, frozenset[Partition]]] = []

    def committed(
        self, group: str, partitions: Collection[Partition], timeout_s: float
    ) -> dict[Partition, OffsetAndMetadata | None]:
        """What the group has committed. Raises KafkaException when nobody answers."""
        self._asked("committed", partitions, timeout_s)
        if self.away:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001 - librdkafka's own code names
        kept = self.marks.get(group, {})
        return {partition: kept.get(partition) for partition in partitions}

    def bounds(self, partitions: Collection[Partition], timeout_s: float) -> dict[Partition, OffsetRange]:
        """What the test has put into `held`; what is neither there nor silent does not exist."""
        self._asked("bounds", partitions, timeout_s)
        return {p: self.held[p] for p in partitions if self._answers(p)}

    def ends(self, partitions: Collection[Partition], timeout_s: float) -> dict[Partition, int]:
        """Where these partitions end."""
        self._asked("ends", partitions, timeout_s)
        return {p: self.held[p].end for p in partitions if self._answers(p)}

    def _asked(self, what: str, partitions: Collection[Partition], timeout_s: float) -> None:
        if timeout_s <= 0:
            raise ValueError("a question needs time")
        if partitions:
            self.questions.append((what, frozenset(partitions)))

    def _answers(self, partition: Partition) -> bool:
        return partition in self.held and partition not in self.silent and not self.away
