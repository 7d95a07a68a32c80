"""The parts of the ingest process and of the Kafka consumer that a subscription consumer uses."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from confluent_kafka import Message

from webhookd.clock import Monotonic, WallClock
from webhookd.flow.authorization.topic_matcher import TopicMatcher
from webhookd.flow.batching.follower import Follower, ReadCounts
from webhookd.flow.dead_letter import DeadLetter
from webhookd.flow.dispatch.delivery import Delivery, Lane
from webhookd.flow.offsets.position import OffsetAndMetadata, OffsetRange, Partition
from webhookd.flow.offsets.topic_metadata import Topics
from webhookd.flow.policy.policy import TopicPolicies
from webhookd.flow.status.activity import Activity
from webhookd.flow.subscription import Subscription


class Offsets(Protocol):
    """Offsets of partitions, requested over connections that fetch nothing (edges/partition_offsets.py).

    Every call blocks; any thread. Partitions without an answer in time are left out.
    """

    def committed(
        self, group: str, partitions: Collection[Partition], timeout_s: float
    ) -> Mapping[Partition, OffsetAndMetadata | None]:
        """What the group has committed, None where it has not. Raises KafkaException when no broker answers."""

    def offset_ranges(self, partitions: Collection[Partition], timeout_s: float) -> Mapping[Partition, OffsetRange]:
        """The first and the end offset of these partitions."""

    def end_offsets(self, partitions: Collection[Partition], timeout_s: float) -> Mapping[Partition, int]:
        """The end offsets of these partitions."""


class DeadLetterSink(Protocol):
    """Stores dead letters; for the ingest loop's thread."""

    def write(self, subscription: Subscription, dead_letters: list[DeadLetter], stored: Callable[[], None]) -> None:
        """Store dead letters; `stored` runs on the ingest loop's thread when their lane may continue."""

    def request_free_rows(self, subscription: Subscription) -> None:
        """Ask how many more dead letters the database accepts; the consumer's `set_capacity` gets the result."""

    def forget(self, subscription: Subscription) -> None:
        """Drop the dead letters of a stopped subscription that wait for their rows; their copies go on."""

    def withdraw_copies(self, is_current: Callable[[Subscription], bool]) -> None:
        """Drop the waiting copies of subscriptions, also of stopped ones, to which other policies apply now."""

    def copy_failure(self, subscription: Subscription) -> str | None:
        """Return why copies of its dead letters fail; empty while they succeed, None when no copy was tried."""


class FollowingSubscription(Protocol):
    """The part of a subscription's consumer that the shared reader calls, on the ingest loop's thread."""

    def records_taken(self, followers: Sequence[Follower[Delivery]]) -> None:
        """Lanes have accepted records, or have dead letters. One that does not follow any more continues here."""

    def lane_dropped(self, lane: Lane) -> None:
        """The reader does not read the lane's partition any more: the lane continues with its own consumer."""

    def position_required(self, lane: Lane) -> None:
        """Kafka does not have the lane's position any more: it must be looked up where the lane continues."""

    def reading_failed(self, error: Exception) -> None:
        """What its lanes have taken last is not known: they must start again at their committed offsets."""


class SharedReading(Protocol):
    """The shared reader, as subscriptions use it (consumer/shared_reader.py)."""

    def may_follow(self, lane: Lane) -> bool:
        """Whether the lane can follow from its position: the reader is not past it, or begins there."""

    def follow(
        self,
        owner: FollowingSubscription,
        lane: Lane,
        matcher: TopicMatcher,
        policies: TopicPolicies,
        filters: Sequence[str],
    ) -> bool:
        """Read for this lane from its position on, if it `may_follow`. Returns False when Kafka's client refuses."""

    def leave(self, lane: Lane) -> ReadCounts:
        """End to read for this lane, which keeps its position; returns what was not counted yet."""

    def is_followed_by(self, lane: Lane) -> bool:
        """Whether it has this lane: also one that was rewound and must leave."""

    def take_counts(self, lane: Lane) -> ReadCounts:
        """Return what became of the lane's records since the last call."""

    def end_offset(self, partition: Partition) -> int | None:
        """The end offset of a partition that it reads, as the last fetch has returned it; None before."""


class Services(Protocol):
    """The part of the ingest process that a subscription consumer uses."""

    monotonic: Monotonic
    wall_clock: WallClock
    commit_interval_s: float
    """How often topic metadata is fetched, right before each commit."""

    @property
    def offsets(self) -> Offsets:
        """Offsets of partitions; for a background thread."""

    @property
    def dropped_commit_interval_s(self) -> float:
        """How often a subscription commits lanes that have only dropped records."""

    @property
    def shared_reader(self) -> SharedReading:
        """Reads for the lanes that have caught up; on the ingest loop's thread."""

    @property
    def dead_letters(self) -> DeadLetterSink:
        """Stores dead letters."""

    def call(self, action: Callable[[], None]) -> None:
        """Run on the ingest loop's thread, soon; from any thread."""

    def call_later(self, delay_s: float, action: Callable[[], None]) -> None:
        """Run on the ingest loop's thread after a delay; from any thread."""

    def in_background(self, action: Callable[[], None]) -> None:
        """Run on a thread that may block."""

    def close_in_background(self, action: Callable[[], None]) -> None:
        """Run on a thread that may block for long; it delays no other background work."""

    def topics(self, names: Collection[str]) -> Topics:
        """Fetch the metadata of these topics. Blocks; for a background thread. Raises KafkaException."""

    def poll_soon(self, subscription_id: str) -> None:
        """Poll a subscription's consumer at the next opportunity; on the ingest loop's thread."""

    def restart_later(self, subscription_id: str, error: Exception) -> None:
        """Replace a subscription's consumer, which has failed; on the ingest loop's thread."""

    def request_dispatch(self, subscription_id: str) -> None:
        """Request a dispatch of a subscription that may have something to publish; on the ingest loop's thread."""

    def add_activity(self, activity: Activity) -> None:
        """Write an event to the recent activity of its subscription."""


class PartitionReader(Protocol):
    """A consumer of partitions that are added and removed one by one (edges/kafka_partition_reader.py)."""

    def add(self, offsets: Mapping[Partition, int]) -> None:
        """Read these partitions from these offsets. Raises KafkaException."""

    def remove(self, partitions: Collection[Partition]) -> None:
        """Read these partitions no more; records that were fetched are dropped. Raises KafkaException."""

    def poll(self) -> list[Message]:
        """The messages that have arrived; returns at once. Raises KafkaException."""

    def end_offset(self, partition: Partition) -> int | None:
        """The end offset of the last fetch; None before the first fetch."""

    def close(self) -> None:
        """Free all resources. Blocks."""


class KafkaConsumer(Protocol):
    """A member of the subscription's consumer group (edges/kafka_consumer.py)."""

    def poll(self) -> list[Message]:
        """The messages that have arrived; returns at once.

        Raises KafkaException or GroupDenied when the consumer cannot be used any more.
        """

    def seek(self, offsets: Mapping[Partition, int]) -> None:
        """Continue to read these partitions at these offsets.

        Raises KafkaException and moves no partition if one of them is not assigned.
        """

    def pause(self, partition: Partition) -> None:
        """Stop fetching."""

    def resume(self, partition: Partition) -> None:
        """Fetch again."""

    def commit(self, commits: Mapping[Partition, OffsetAndMetadata]) -> None:
        """Request a commit; returns at once."""

    def end_offset(self, partition: Partition) -> int | None:
        """The end offset that the last fetch returned; None before the first. Returns at once."""

    def close(self, commits: Mapping[Partition, OffsetAndMetadata]) -> None:
        """Commit a last time and leave the group. Blocks."""
