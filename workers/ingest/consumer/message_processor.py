"""Takes the messages that a subscription's own consumer has fetched into its lanes: decodes, matches, renders them."""

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
from workers.ingest.consumer.message_slices import MessageSlices
from workers.ingest.consumer.messages_by_lane import by_lane
from workers.ingest.consumer.start_positions import LaneOffset
from workers.ingest.consumer.subscription_health import Counters
from workers.ingest.consumer.undeliverable_records import UndeliverableRecords


class Owner(Protocol):
    """The part of SubscriptionConsumer that this module uses."""

    accumulator: BatchAccumulator
    counters: Counters
    status_changed: bool
    undeliverable: UndeliverableRecords

    def seek(self, targets: Sequence[LaneOffset]) -> None:
        """Seek to these offsets, at which the lanes continue."""


class MessageProcessor:
    """Owned by the ingest loop's thread. `matchers` has the policies and filters of each topic of the subscription."""

    def __init__(
        self,
        owner: Owner,
        matchers: Mapping[str, TopicMatcher],
        events: ConsumerEvents,
        filter_failures: FilterFailures,
        monotonic: Monotonic,
    ) -> None:
        self._owner = owner
        self._matchers = matchers
        self._events = events
        self._filter_failures = filter_failures
        self._slices = MessageSlices(monotonic)
        self._one_topic = len(matchers) == 1

    @property
    def waiting(self) -> list[Message]:
        """The fetched messages that are not processed yet."""
        return self._slices.waiting

    def process(self, messages: list[Message], now: float) -> float:
        """Process messages for a short time and keep the rest in `waiting`; returns how many seconds one took."""
        return self._slices.process(messages, lambda part: self._process_slice(part, now))

    def discard(self, partitions: Collection[Partition]) -> None:
        """Drop the waiting messages of these partitions: their lanes continue at other offsets, or are closed."""
        self._slices.discard(partitions)

    def _process_slice(self, messages: Sequence[Message], now: float) -> None:
        owner = self._owner
        for (topic, number), taken in by_lane(messages, one_topic=self._one_topic):
            lane = owner.accumulator.lanes.get((topic or "", -1 if number is None else number))
            if lane is None or lane.following:  # what was fetched before a lane followed comes from the shared reader
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
