"""A fake PartitionOffsets: partitions and committed offsets in memory."""

from collections.abc import Collection

from confluent_kafka import KafkaError, KafkaException

from webhookd.flow.offsets.position import OffsetAndMetadata, OffsetRange, Partition


class MemoryPartitionOffsets:
    """Behaves like PartitionOffsets. A test sets `ranges` and `commits`, and reads `requests`.

    Partitions in `unanswered` are left out of results, as if their leader were down. While `down` is set there is no
    answer for any partition.
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
        """What the group has committed. Raises KafkaException while `down`."""
        self._record("committed", partitions, timeout_s)
        if self.down:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001 - librdkafka's own code names
        kept = self.commits.get(group, {})
        return {partition: kept.get(partition) for partition in partitions}

    def offset_ranges(self, partitions: Collection[Partition], timeout_s: float) -> dict[Partition, OffsetRange]:
        """The ranges that the test has set; a partition without one does not exist."""
        self._record("bounds", partitions, timeout_s)
        return {p: self.ranges[p] for p in partitions if self._is_answered(p)}

    def end_offsets(self, partitions: Collection[Partition], timeout_s: float) -> dict[Partition, int]:
        """The end offset of these partitions."""
        self._record("ends", partitions, timeout_s)
        return {p: self.ranges[p].end for p in partitions if self._is_answered(p)}

    def _record(self, what: str, partitions: Collection[Partition], timeout_s: float) -> None:
        if timeout_s <= 0:
            raise ValueError("the timeout must be positive")
        if partitions:
            self.requests.append((what, frozenset(partitions)))

    def _is_answered(self, partition: Partition) -> bool:
        return partition in self.ranges and partition not in self.unanswered and not self.down
