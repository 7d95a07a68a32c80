"""Partitions and what groups have committed in them, in memory, behind the same questions as the real Kafka."""

from collections.abc import Collection

from confluent_kafka import KafkaError, KafkaException

from webhookd.flow.offsets.position import OffsetAndMetadata, OffsetRange, Partition


class MemoryPartitionOffsets:
    """What PartitionOffsets answers, told by the test: `held` and `marks` are set, `questions` is read.

    What is in `silent` gets no answer, as with a leader that is down; with `away` set nobody answers.
    """

    def __init__(self) -> None:
        self.ranges: dict[Partition, OffsetRange] = {}
        self.commits: dict[str, dict[Partition, OffsetAndMetadata]] = {}
        self.unanswered: set[Partition] = set()
        self.down = False
        self.requests: list[tuple[str, frozenset[Partition]]] = []

    def committed(
        self, group: str, partitions: Collection[Partition], timeout_s: float
    ) -> dict[Partition, OffsetAndMetadata | None]:
        """What the group has committed. Raises KafkaException when nobody answers."""
        self._record("committed", partitions, timeout_s)
        if self.down:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001 - librdkafka's own code names
        kept = self.commits.get(group, {})
        return {partition: kept.get(partition) for partition in partitions}

    def offset_ranges(self, partitions: Collection[Partition], timeout_s: float) -> dict[Partition, OffsetRange]:
        """What the test has put into `held`; what is neither there nor silent does not exist."""
        self._record("bounds", partitions, timeout_s)
        return {p: self.ranges[p] for p in partitions if self._is_answered(p)}

    def end_offsets(self, partitions: Collection[Partition], timeout_s: float) -> dict[Partition, int]:
        """Where these partitions end."""
        self._record("ends", partitions, timeout_s)
        return {p: self.ranges[p].end for p in partitions if self._is_answered(p)}

    def _record(self, what: str, partitions: Collection[Partition], timeout_s: float) -> None:
        if timeout_s <= 0:
            raise ValueError("a question needs time")
        if partitions:
            self.requests.append((what, frozenset(partitions)))

    def _is_answered(self, partition: Partition) -> bool:
        return partition in self.ranges and partition not in self.unanswered and not self.down
