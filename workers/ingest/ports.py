"""What an intake asks of the process around it, and of its consumer."""

from collections.abc import Callable, Mapping
from typing import Protocol

from confluent_kafka import Message

from webhookd.clock import Monotonic, WallClock
from webhookd.flow.dead_letter import DeadLetter
from webhookd.flow.position import Partition


class Services(Protocol):
    """What an intake asks of the process around it."""

    monotonic: Monotonic
    wall_clock: WallClock

    def call(self, action: Callable[[], None]) -> None:
        """Run on the ingest loop's thread; from any thread."""

    def call_later(self, delay_s: float, action: Callable[[], None]) -> None:
        """Run on the ingest loop's thread after a while; from any thread."""

    def in_background(self, action: Callable[[], None]) -> None:
        """Run on a thread that may block."""

    def bury(self, letters: list[DeadLetter], committed: Callable[[], None]) -> None:
        """Put records aside; `committed` runs on the ingest loop's thread."""


class Reader(Protocol):
    """A member of the subscription's consumer group, as edges.kafka_reader has it."""

    def poll(self) -> list[Message]:
        """What has arrived; returns at once. Raises KafkaException when the consumer is beyond use."""

    def reposition(self, partition: Partition, offset: int) -> None:
        """Read on from exactly `offset`."""

    def pause(self, partition: Partition) -> None:
        """Stop fetching."""

    def resume(self, partition: Partition) -> None:
        """Fetch again."""

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Ask for a commit and return."""

    def bounds(self, partition: Partition, timeout_s: float) -> tuple[int | None, int, int]:
        """The committed offset, the first and the end offset. Blocks; any thread."""

    def close(self, offsets: Mapping[Partition, int]) -> None:
        """Commit a last time and leave the group. Blocks."""
