"""Takes fetched messages into the lanes of a subscription: decodes, matches and renders them for a short time.

Filters may be slow, and other subscriptions share the loop's thread. So messages are processed in slices, and messages
that are not processed within BUDGET_S wait for the next poll.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol, cast

from confluent_kafka import Message

from webhookd.clock import Monotonic
from webhookd.flow.authorization.topic_matcher import TopicMatcher
from webhookd.flow.batching.message import Message as Record
from webhookd.flow.dispatch.accumulator import BatchAccumulator
from webhookd.flow.offsets.position import Partition
from workers.ingest.consumer.consumer_events import ConsumerEvents
from workers.ingest.consumer.filter_failures import FilterFailures
from workers.ingest.consumer.messages_by_lane import by_lane
from workers.ingest.consumer.start_positions import LaneOffset
from workers.ingest.consumer.subscription_health import Counters
from workers.ingest.consumer.undeliverable_records import UndeliverableRecords

BUDGET_S = 0.02
"""How long the records of one subscription may delay those of the others."""

FIRST_SLICE_SIZE = 32
LARGEST_SLICE_SIZE = 2048
"""Records that are processed between two readings of the clock; the number doubles while a slice takes little time."""


class Owner(Protocol):
    """The part of SubscriptionConsumer that this module uses."""

    accumulator: BatchAccumulator
    counters: Counters
    status_changed: bool
    undeliverable: UndeliverableRecords

    def seek(self, targets: Sequence[LaneOffset]) -> None:
        """Seek to these offsets, at which the lanes continue."""


class MessageProcessor:
    """Owned by the ingest loop's thread. `waiting` has the fetched messages that are not processed yet.

    `matchers` has the policies and filters of each topic of the subscription.
    """

    def __init__(
        self,
        owner: Owner,
        matchers: Mapping[str, TopicMatcher],
        events: ConsumerEvents,
        filter_failures: FilterFailures,
        monotonic: Monotonic,
    ) -> None:
        self.waiting: list[Message] = []
        self._owner = owner
        self._matchers = matchers
        self._events = events
        self._filter_failures = filter_failures
        self._monotonic = monotonic
        self._one_topic = len(matchers) == 1
        self._slice_size = FIRST_SLICE_SIZE

    def process(self, messages: list[Message], now: float) -> float:
        """Process messages for about BUDGET_S and keep the rest in `waiting`.

        Returns how many seconds a record of the last slice took.
        """
        record_s = 0.0
        self.waiting = messages
        clock = self._monotonic
        began = clock()
        until = began + BUDGET_S
        while self.waiting and began < until:
            part, self.waiting = self.waiting[: self._slice_size], self.waiting[self._slice_size :]
            self._process_slice(part, now)
            ended = clock()
            record_s = (ended - began) / len(part)
            if ended - began > BUDGET_S / 2:
                self._slice_size = max(1, self._slice_size // 4)
            else:
                self._slice_size = min(LARGEST_SLICE_SIZE, self._slice_size * 2)
            began = ended
        return record_s

    def discard(self, partitions: Collection[Partition]) -> None:
        """Drop the waiting messages of these partitions: their lanes continue at other offsets, or are closed."""
        if self.waiting:
            places = {(partition.topic, partition.number) for partition in partitions}
            self.waiting = [m for m in self.waiting if (m.topic(), m.partition()) not in places]

    def _process_slice(self, messages: Sequence[Message], now: float) -> None:
        owner = self._owner
        for (topic, number), taken in by_lane(messages, one_topic=self._one_topic):
            lane = owner.accumulator.lanes.get((topic or "", -1 if number is None else number))
            if lane is None:
                continue
            matcher = self._matchers[lane.partition.topic]
            # The stubs allow None where a consumer never returns it.
            records: Sequence[Record] = matcher.views(cast("list[Record]", taken))
            if not lane.awaiting_seek:
                before, waiting = matcher.denied, len(lane.waiting)
                dropped, dead_letters = lane.take(records, matcher, now)
                denied = matcher.denied - before
                owner.counters.read += len(records)
                owner.counters.matched += len(lane.waiting) - waiting
                owner.counters.denied += denied
                owner.counters.filtered += dropped - denied
                owner.undeliverable.dead_letter(lane, dead_letters)
                self._filter_failures.add_records(lane.partition.topic, len(records))
            self._events.records_read(lane.partition)
            if lane.undecodable_run.lookahead_offset is not None and lane.look_ahead(records, matcher):
                owner.seek([(lane, lane.ledger.position)])
        owner.status_changed = True
