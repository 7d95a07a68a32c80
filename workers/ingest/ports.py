"""What an intake asks of the process around it, and of its consumer."""

from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from confluent_kafka import Message

from webhookd.clock import Monotonic, WallClock
from webhookd.flow.dead_letter import DeadLetter
from webhookd.flow.offsets.position import OffsetAndMetadata, OffsetRange, Partition
from webhookd.flow.offsets.topic_metadata import Topics
from webhookd.flow.status.activity import Activity
from webhookd.flow.subscription import Subscription


class Offsets(Protocol):
    """What Kafka says of partitions, asked over connections that fetch nothing, as edges.partition_offsets has it.

    Every call blocks; any thread. What is not answered in time is left out.
    """

    def committed(
        self, group: str, partitions: Collection[Partition], timeout_s: float
    ) -> Mapping[Partition, OffsetAndMetadata | None]:
        """What the group has committed, None where nothing is. Raises KafkaException when nobody answers."""

    def offset_ranges(self, partitions: Collection[Partition], timeout_s: float) -> Mapping[Partition, OffsetRange]:
        """What Kafka holds of these partitions."""

    def end_offsets(self, partitions: Collection[Partition], timeout_s: float) -> Mapping[Partition, int]:
        """Where these partitions end."""


class DeadLetterSink(Protocol):
    """What becomes of dead letters; on the ingest loop's thread."""

    def write(self, subscription: Subscription, dead_letters: list[DeadLetter], stored: Callable[[], None]) -> None:
        """Put records aside; `stored` runs on the ingest loop's thread when their lane may go on."""

    def request_free_rows(self, subscription: Subscription) -> None:
        """Have the intake told whether the database takes more of its dead letters."""

    def forget(self, subscription: Subscription) -> None:
        """It is not run any more: what waits for room is not kept."""

    def copy_failure(self, subscription: Subscription) -> str | None:
        """Why copies of its dead letters fail; empty while they do not, None where nothing is known."""


class Services(Protocol):
    """What an intake asks of the process around it."""

    monotonic: Monotonic
    wall_clock: WallClock
    commit_interval_s: float
    """How often the topics are looked at, right before a commit."""

    @property
    def offsets(self) -> Offsets:
        """What Kafka says of partitions; for a background thread."""

    @property
    def dead_letters(self) -> DeadLetterSink:
        """Where dead letters go."""

    def call(self, action: Callable[[], None]) -> None:
        """Run on the ingest loop's thread; from any thread."""

    def call_later(self, delay_s: float, action: Callable[[], None]) -> None:
        """Run on the ingest loop's thread after a while; from any thread."""

    def in_background(self, action: Callable[[], None]) -> None:
        """Run on a thread that may block."""

    def close_in_background(self, action: Callable[[], None]) -> None:
        """Run on a thread that may block for long, and holds up nothing else that runs in the background."""

    def topics(self, names: Collection[str]) -> Topics:
        """What the cluster says about these topics now. Blocks; for a background thread. Raises KafkaException."""

    def request_dispatch(self, subscription_id: str) -> None:
        """There may be something to dispatch; on the ingest loop's thread."""

    def add_activity(self, activity: Activity) -> None:
        """Tell the subscription's owner."""


class KafkaConsumer(Protocol):
    """A member of the subscription's consumer group, as edges.kafka_reader has it."""

    def poll(self) -> list[Message]:
        """What has arrived; returns at once. Raises KafkaException or GroupDenied when it is beyond use."""

    def seek(self, offsets: Mapping[Partition, int]) -> None:
        """Read these partitions on from exactly these offsets.

        Raises KafkaException, and moves none, when one is not assigned.
        """

    def pause(self, partition: Partition) -> None:
        """Stop fetching."""

    def resume(self, partition: Partition) -> None:
        """Fetch again."""

    def commit(self, marks: Mapping[Partition, OffsetAndMetadata]) -> None:
        """Ask for a commit and return."""

    def end_offset(self, partition: Partition) -> int | None:
        """The end offset as the last fetch told it; None before the first. Returns at once."""

    def close(self, marks: Mapping[Partition, OffsetAndMetadata]) -> None:
        """Commit a last time and leave the group. Blocks."""
