"""The lanes of one subscription that follow the shared reader: lets them begin and leave, and counts their records.

A lane begins to follow when it has caught up and has no difficulty (flow/batching/follower.py). It leaves when it is
paused, closed or moved, when its records cannot be decoded, or when the shared reader cannot read its partition. A
subscription with an expression that may take long on a record never follows: it would delay the others.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from webhookd.flow.authorization.shared_matching import is_shareable
from webhookd.flow.authorization.topic_matcher import TopicMatcher
from webhookd.flow.batching.follower import Follower, ReadCounts, may_follow
from webhookd.flow.dispatch.accumulator import BatchAccumulator
from webhookd.flow.dispatch.delivery import Delivery, Lane
from webhookd.flow.offsets.position import Partition
from webhookd.flow.policy.policy import TopicPolicies
from webhookd.flow.subscription import Subscription
from workers.ingest.consumer.filter_failures import FilterFailures
from workers.ingest.consumer.start_positions import LaneOffset
from workers.ingest.consumer.subscription_health import Counters
from workers.ingest.consumer.undeliverable_records import UndeliverableRecords
from workers.ingest.ports import KafkaConsumer, Services

RETURN_S = 1.0
"""How long a lane that has left reads with its own consumer at least: to change over costs both clients some calls."""


class Owner(Protocol):
    """The part of SubscriptionConsumer that this module uses; every method is for the ingest loop's thread."""

    accumulator: BatchAccumulator
    counters: Counters
    status_changed: bool
    undeliverable: UndeliverableRecords
    subscription: Subscription

    @property
    def kafka_consumer(self) -> KafkaConsumer:
        """The subscription's own consumer."""

    @property
    def may_follow(self) -> bool:
        """Whether its lanes may follow at all: it is open and its endpoint wants the requests."""

    def seek(self, targets: Sequence[LaneOffset]) -> None:
        """Seek to these offsets, at which the lanes continue with the own consumer."""

    def apply_backpressure(self, *, polled: bool) -> None:
        """Pause lanes that buffer too much, and resume others."""

    def request_dispatch(self) -> None:
        """Request a dispatch: there may be something to publish."""


class FollowingLanes:
    """Owned by the ingest loop's thread; the shared reader calls it as a FollowingSubscription."""

    def __init__(
        self,
        owner: Owner,
        services: Services,
        matchers: Mapping[str, TopicMatcher],
        filter_failures: FilterFailures,
        look_up_position: Callable[[Partition], None],
    ) -> None:
        self._look_up_position = look_up_position
        self._owner = owner
        self._reader = services.shared_reader
        self._services = services
        self._matchers = matchers
        self._filter_failures = filter_failures
        self._filters = {topic: filters for topic, filters in _filters(owner.subscription) if is_shareable(*filters)}
        self._not_before: dict[str, float] = {}
        self._paused: set[Partition] = set()
        self._ends: dict[Partition, int] = {}
        self._status_at = 0.0

    @property
    def all_follow(self) -> bool:
        """Whether every lane follows, so that the own consumer has nothing to fetch."""
        lanes = self._owner.accumulator.lanes
        return bool(lanes) and all(lane.following for lane in lanes.values())

    def begin(self, now: float) -> None:
        """Let lanes that have caught up follow; called after a poll of the own consumer."""
        if not self._owner.may_follow:
            return
        for lane in self._owner.accumulator.lanes.values():
            if lane.following or self._not_before.get(lane.name, 0.0) > now or not may_follow(lane):
                continue
            filters = self._filters.get(lane.partition.topic)
            if filters is None or not self._reader.may_follow(lane):
                continue
            if self._reader.follow(self, lane, self._matchers[lane.partition.topic], *filters):
                self._owner.kafka_consumer.pause(lane.partition)
                self._paused.add(lane.partition)

    def leave(self, lane: Lane) -> bool:
        """End to follow, if the lane does; the own consumer must be moved to the lane's position then."""
        if not self._reader.is_followed_by(lane):
            return False
        self._ends[lane.partition] = self._reader.end_offset(lane.partition) or 0
        self._count(lane, self._reader.leave(lane))
        self._not_before[lane.name] = self._services.monotonic() + RETURN_S
        self._services.poll_soon(self._owner.subscription.id)
        return True

    def close(self, lane: Lane) -> None:
        """End to follow with a lane that is closed; a lane that comes after it may be one of a recreated topic."""
        self.leave(lane)
        self._ends.pop(lane.partition, None)

    def resume_own(self, partition: Partition) -> None:
        """Let the own consumer fetch again, if it is paused because a lane has followed: a seek does not end that."""
        if partition in self._paused:
            self._paused.discard(partition)
            self._owner.kafka_consumer.resume(partition)

    def count(self) -> None:
        """Once a second: count what became of the records of the lanes that follow."""
        for lane in self._owner.accumulator.lanes.values():
            if lane.following:
                self._count(lane, self._reader.take_counts(lane))

    def end_offset(self, lane: Lane) -> int | None:
        """The end offset of the lane's partition, as the last fetch of the client that reads it has returned it."""
        if lane.following:
            return self._reader.end_offset(lane.partition)
        # The own consumer's answer is as old as its last fetch: it may be from before the lane began to follow.
        end = self._owner.kafka_consumer.end_offset(lane.partition)
        return end if end is None else max(end, self._ends.get(lane.partition, end))

    def records_taken(self, followers: Sequence[Follower[Delivery]]) -> None:
        """See FollowingSubscription."""
        owner = self._owner
        for follower in followers:
            owner.undeliverable.dead_letter(follower.lane, follower.take_dead_letters())
            if not follower.lane.following:
                self.lane_dropped(follower.lane)
        owner.status_changed = True
        owner.apply_backpressure(polled=False)
        owner.request_dispatch()

    def lane_dropped(self, lane: Lane) -> None:
        """See FollowingSubscription."""
        self.leave(lane)
        lane.skip_to(lane.ledger.position)  # the own consumer looks ahead by itself, if the lane was about to
        self._owner.seek([(lane, lane.ledger.position)])

    def position_required(self, lane: Lane) -> None:
        """See FollowingSubscription. The own consumer remains paused until the lookup has moved it."""
        self.leave(lane)
        self._look_up_position(lane.partition)

    def reading_failed(self, error: Exception) -> None:
        """See FollowingSubscription."""
        self._services.restart_later(self._owner.subscription.id, error)

    def leave_all(self) -> None:
        """End to follow with every lane; none of them is read any more."""
        for lane in self._owner.accumulator.lanes.values():
            self.leave(lane)

    def _count(self, lane: Lane, counts: ReadCounts) -> None:
        if not counts.read:
            return
        now = self._services.monotonic()
        if now >= self._status_at:  # many that only drop records do not write their statuses each second
            self._status_at = now + self._services.dropped_commit_interval_s
            self._owner.status_changed = True
        counters = self._owner.counters
        counters.read += counts.read
        counters.matched += counts.matched
        counters.denied += counts.denied
        counters.filtered += counts.filtered
        self._filter_failures.add_records(lane.partition.topic, counts.read)


def _filters(subscription: Subscription) -> Iterator[tuple[str, tuple[TopicPolicies, Sequence[str]]]]:
    """The policies and filters of each topic."""
    for source in subscription.sources:
        policies = subscription.policies.get(source.topic)
        if policies is not None:
            yield source.topic, (policies, source.jmes_filters)
