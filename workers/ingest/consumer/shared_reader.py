"""Reads partitions once for all subscriptions of this process whose lanes have caught up.

a lane of a subscription           is read by
has not caught up: it starts, is   the subscription's own consumer, a member of its group
paused, rewinds or fails
has caught up                      the shared reader; in its own consumer, which remains a member of the group and
                                   commits, its partition is paused

A lane changes over at a position: the reader begins there, or has not passed it; when the lane leaves, its own consumer
seeks to where the reader is. Both happen between two polls, on the loop's thread.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import cast

from confluent_kafka import KafkaException, Message

from webhookd import logs
from webhookd.clock import Monotonic
from webhookd.edges.kafka_partition_reader import ReaderCallbacks
from webhookd.flow.authorization.record_view import Message as Record
from webhookd.flow.authorization.shared_matching import SharedMatching
from webhookd.flow.authorization.topic_matcher import TopicMatcher
from webhookd.flow.batching.follower import Follower, ReadCounts
from webhookd.flow.batching.shared_partition import SharedPartition
from webhookd.flow.dispatch.delivery import Delivery, Lane
from webhookd.flow.monitoring.kafka_read_errors import ALL_PARTITIONS
from webhookd.flow.offsets.position import Partition
from webhookd.flow.policy.policy import TopicPolicies
from workers.ingest.consumer.message_slices import MessageSlices
from workers.ingest.consumer.messages_by_lane import by_lane
from workers.ingest.ports import FollowingSubscription, PartitionReader

IDLE_POLL_S = 0.02
"""The longest time between two polls, and so the longest delay of a record after a pause."""

LARGEST_LEAD = 2000
"""A lane that is farther ahead of the reader, in offsets, would wait for records that others are still to take."""

LARGEST_FAN_OUT = 20_000
"""About so many lanes may take records between two readings of the clock, if each wants every record."""

RETRY_S = 5.0
"""How long no lane begins to follow after the reader has failed as a whole."""

AFTER_FAULT_S = 60.0
"""The same after an unexpected error while records were matched: the same record would cause it again."""

_log = logs.get(__name__)

OpenReader = Callable[[ReaderCallbacks], PartitionReader]


@dataclass(slots=True)
class _Topic:
    """The matching of a topic, with the number of lanes that each subscription has in it."""

    matching: SharedMatching[str] = field(default_factory=SharedMatching)
    lanes: dict[str, int] = field(default_factory=dict)


class SharedReader:
    """Owned by the ingest loop's thread. `poll_at` is when to poll next (monotonic seconds).

    `close` runs an action that may block for long on another thread.
    """

    def __init__(
        self, open_reader: OpenReader, close: Callable[[Callable[[], None]], None], monotonic: Monotonic
    ) -> None:
        self.poll_at = 0.0
        self._open_reader = open_reader
        self._close = close
        self._monotonic = monotonic
        self._reader: PartitionReader | None = None
        self._partitions: dict[Partition, SharedPartition[Delivery]] = {}
        self._topics: dict[str, _Topic] = {}
        self._owners: dict[str, FollowingSubscription] = {}
        self._slices = MessageSlices(monotonic)
        self._ends: dict[Partition, int] = {}
        self._failed: dict[Partition, str] = {}
        self._unpositioned: set[Partition] = set()
        self._active_at = 0.0
        self._not_before = 0.0
        self._removal_failed: KafkaException | None = None

    # Called by the subscriptions' consumers.

    def may_follow(self, lane: Lane) -> bool:
        """Whether the lane can follow from its position: the reader is a little before it, or begins there."""
        if self._monotonic() < self._not_before:
            return False
        read = self._partitions.get(lane.partition)
        if read is None:
            return lane.at_end
        return 0 <= lane.ledger.position - read.position.offset <= LARGEST_LEAD

    def follow(
        self,
        owner: FollowingSubscription,
        lane: Lane,
        matcher: TopicMatcher,
        policies: TopicPolicies,
        filters: Sequence[str],
    ) -> bool:
        """Read for this lane from its position on, if it `may_follow`. Returns False when Kafka's client refuses."""
        topic = self._topics.setdefault(lane.partition.topic, _Topic())
        if not self._reads(lane, topic):
            return False
        id_, read = lane.subscription_id, self._partitions[lane.partition]
        if id_ not in topic.lanes:
            topic.matching.add(id_, policies, filters)
        read.add(lane, matcher)
        topic.lanes[id_] = topic.lanes.get(id_, 0) + 1
        self._owners[id_] = owner
        self._slices.bound(LARGEST_FAN_OUT // len(read.followers))
        return True

    def leave(self, lane: Lane) -> ReadCounts:
        """End to read for this lane, which remains at the reader's position; returns what was not counted yet."""
        read = self._partitions[lane.partition]
        counts = read.take_counts(lane.subscription_id)
        read.remove(lane.subscription_id)
        self._forget(lane)
        if not read.followers:
            self._stop_reading(lane.partition)
        return counts

    def is_followed_by(self, lane: Lane) -> bool:
        """Whether it has this lane: also one that was rewound and must leave."""
        read = self._partitions.get(lane.partition)
        follower = read.followers.get(lane.subscription_id) if read is not None else None
        return follower is not None and follower.lane is lane

    def take_counts(self, lane: Lane) -> ReadCounts:
        """Return what became of the lane's records since the last call."""
        return self._partitions[lane.partition].take_counts(lane.subscription_id)

    def end_offset(self, partition: Partition) -> int | None:
        """The end offset of a partition that it reads, as the last fetch has returned it; None before."""
        return self._reader.end_offset(partition) if self._reader is not None else None

    # Called by the loop.

    def poll(self, now: float) -> None:
        """Take fetched messages into the lanes that want them, and set `poll_at`."""
        if self._reader is None:
            self.poll_at = now + IDLE_POLL_S
            return
        try:
            if self._removal_failed is not None:
                raise self._removal_failed
            messages = self._slices.waiting or self._reader.poll()
        except KafkaException as error:
            self._fail(error)
            return
        if messages:
            self._active_at = self.poll_at = now
            self._slices.process(messages, lambda part: self._take(part, now))
        else:
            self.poll_at = now + min(IDLE_POLL_S, (now - self._active_at) / 4)
        if not self._slices.waiting:
            self._apply_ends()
        self._drop_failed()
        self._drop_unpositioned()

    def close(self) -> None:
        """Free the client, in the background; the lanes are closed by then."""
        reader, self._reader = self._reader, None
        if reader is not None:
            self._close(reader.close)

    def _reads(self, lane: Lane, topic: _Topic) -> bool:
        """Read the lane's partition from its position on, unless it is read already."""
        if lane.partition in self._partitions:
            return True
        offset = lane.ledger.position
        try:
            if self._reader is None:
                callbacks = ReaderCallbacks(
                    end_reached=self._end_reached,
                    position_required=self._position_required,
                    failed=self._partition_failed,
                )
                self._reader = self._open_reader(callbacks)
            self._reader.add({lane.partition: offset})
        except KafkaException as error:
            _log.warning("shared_reader_failed", lane=lane.name, detail=str(error))
            self._not_before = self._monotonic() + RETRY_S
            return False
        read = self._partitions[lane.partition] = SharedPartition(lane.partition, offset, topic.matching)
        read.reach_end(offset)  # the lane has reached it
        return True

    def _stop_reading(self, partition: Partition) -> None:
        del self._partitions[partition]
        self._slices.discard([partition])
        self._ends.pop(partition, None)
        try:
            if self._reader is not None:
                self._reader.remove([partition])
        except KafkaException as error:  # the partition could not be added again: the next poll makes another client
            self._removal_failed = error
        most = max((len(read.followers) for read in self._partitions.values()), default=1)
        self._slices.bound(LARGEST_FAN_OUT // max(1, most), anew=True)

    def _forget(self, lane: Lane) -> None:
        """Forget a lane of a subscription; with the last one its policies and filters."""
        id_, topic = lane.subscription_id, self._topics[lane.partition.topic]
        topic.lanes[id_] -= 1
        if not topic.lanes[id_]:
            del topic.lanes[id_]
            topic.matching.remove(id_)
        if not topic.lanes:
            del self._topics[lane.partition.topic]
        if not any(id_ in one.lanes for one in self._topics.values()):
            self._owners.pop(id_, None)

    def _take(self, messages: Sequence[Message], now: float) -> None:
        touched: dict[str, list[Follower[Delivery]]] = {}
        for (topic, number), taken in by_lane(messages, one_topic=False):
            read = self._partitions.get(Partition(topic or "", -1 if number is None else number))
            if read is None:
                continue
            try:
                # The stubs allow None where a consumer never returns it.
                for follower in read.take(cast("list[Record]", taken), now):
                    touched.setdefault(follower.lane.subscription_id, []).append(follower)
            except Exception as error:  # noqa: BLE001 - a fault of one record must not end the others' reading
                self._restart(read, error)
        for id_, followers in touched.items():
            owner = self._owners.get(id_)
            if owner is not None:  # None: it starts again because of another partition
                self._pass_on(owner, followers)

    def _pass_on(self, owner: FollowingSubscription, followers: Sequence[Follower[Delivery]]) -> None:
        try:
            owner.records_taken(followers)
        except Exception as error:  # noqa: BLE001 - whatever it is, it concerns this subscription only
            owner.reading_failed(error)

    def _restart(self, read: SharedPartition[Delivery], error: Exception) -> None:
        """Let the subscriptions of a partition start again: lanes may have taken a part of the messages."""
        _log.exception("shared_reader_failed", lane=str(read.partition), detail=repr(error))
        self._not_before = self._monotonic() + AFTER_FAULT_S
        for id_ in list(read.followers):
            self._owners[id_].reading_failed(error)

    def _end_reached(self, partition: Partition, offset: int) -> None:
        self._ends[partition] = offset

    def _apply_ends(self) -> None:
        """Pass on the ends that were reached, now that all messages before them are processed."""
        for partition, offset in self._ends.items():
            if partition in self._partitions:
                self._partitions[partition].reach_end(offset)
        self._ends.clear()

    def _position_required(self, partition: Partition) -> None:
        self._unpositioned.add(partition)

    def _partition_failed(self, place: Partition, text: str) -> None:
        self._failed[place] = text

    def _drop_failed(self) -> None:
        """Let the lanes of failed partitions continue with their own consumers, which find out and show what it is."""
        if not self._failed:
            return
        failed, self._failed = self._failed, {}
        for place, text in failed.items():
            concerned = [
                partition
                for partition in self._partitions
                if partition == place or (place.number == ALL_PARTITIONS and partition.topic == place.topic)
            ]
            _log.warning("shared_reader_failed", lane=str(place), detail=text)
            self._drop(concerned)

    def _drop_unpositioned(self) -> None:
        partitions, self._unpositioned = self._unpositioned & self._partitions.keys(), set()
        self._drop(partitions, lambda owner, lane: owner.position_required(lane))

    def _drop(
        self,
        partitions: Iterable[Partition],
        tell: Callable[[FollowingSubscription, Lane], None] = lambda owner, lane: owner.lane_dropped(lane),
    ) -> None:
        for partition in partitions:
            for follower in list(self._partitions[partition].followers.values()):
                owner = self._owners[follower.lane.subscription_id]
                try:
                    tell(owner, follower.lane)
                except Exception as error:  # noqa: BLE001 - whatever it is, it concerns this subscription only
                    owner.reading_failed(error)

    def _fail(self, error: KafkaException) -> None:
        """Let all lanes continue with their own consumers: the client cannot be used any more."""
        _log.error("shared_reader_failed", lane="*", detail=str(error))
        self._not_before = self._monotonic() + RETRY_S
        self._removal_failed = None
        self._drop(list(self._partitions))
        self.close()
