"""What an intake asks of the process around it, and of its consumer."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from confluent_kafka import Message

from webhookd.clock import Monotonic, WallClock
from webhookd.flow.activity import Activity
from webhookd.flow.dead_letter import DeadLetter
from webhookd.flow.position import Bounds, Mark, Partition
from webhookd.flow.subscription import Subscription
from webhookd.flow.topics import Topics


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

    def topics(self, names: Collection[str]) -> Topics:
        """What the cluster says about these topics now. Blocks; for a background thread. Raises KafkaException."""

    def touch(self, subscription_id: str) -> None:
        """There may be something to dispatch; on the ingest loop's thread."""

    def happened(self, activity: Activity) -> None:
        """Tell the subscription's owner."""

    def bury(self, subscription: Subscription, letters: list[DeadLetter], safe: Callable[[], None]) -> None:
        """Put records aside; `safe` runs on the ingest loop's thread when nothing can take them away any more."""


class Reader(Protocol):
    """A member of the subscription's consumer group, as edges.kafka_reader has it."""

    def poll(self) -> list[Message]:
        """What has arrived; returns at once. Raises KafkaException or GroupDenied when it is beyond use."""

    def reposition(self, partition: Partition, offset: int) -> None:
        """Read on from exactly `offset`."""

    def pause(self, partition: Partition) -> None:
        """Stop fetching."""

    def resume(self, partition: Partition) -> None:
        """Fetch again."""

    def commit(self, marks: Mapping[Partition, Mark]) -> None:
        """Ask for a commit and return."""

    def committed(self, partitions: Sequence[Partition], timeout_s: float) -> Mapping[Partition, Mark | None]:
        """What is committed for these partitions. Blocks; any thread."""

    def bounds(self, partition: Partition, timeout_s: float) -> Bounds:
        """What Kafka says of a partition. Blocks; any thread."""

    def end(self, partition: Partition) -> int | None:
        """The end offset as the last fetch told it; None before the first. Returns at once."""

    def close(self, marks: Mapping[Partition, Mark]) -> None:
        """Commit a last time and leave the group. Blocks."""
