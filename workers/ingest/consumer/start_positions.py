"""At which offset the lanes of one subscription start to read.

    event                       looked up, in the background        then
    a partition is assigned     commit metadata, topic id; without  the lane restores the metadata and may dispatch;
                                a usable commit also first and end  without a commit it starts as start_position.py
                                offset                              decides; for a recreated topic see below
    its position is not valid   commit, topic id, first and end     it starts as start_position.py decides
                                offset
    its topic has another id    the same                            another lane replaces it, from the first offset

One lookup covers all lanes that need one. If Kafka does not answer for some partitions, because their leader is down,
they are looked up again in a lookup of their own, so that they do not delay the others.

A lane commits only while the latest topic metadata has the topic id under which the lane reads. The metadata is fetched
right before commits, so there is little time in which a commit could reach a recreated topic.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from webhookd import logs
from webhookd.flow.dispatch.delivery import Lane
from webhookd.flow.offsets.commit_metadata import NO_METADATA
from webhookd.flow.offsets.position import UNREAD, OffsetAndMetadata, OffsetRange, Partition
from webhookd.flow.offsets.start_position import StartPosition, same_topic, start_position
from webhookd.flow.offsets.topic_metadata import Topics
from webhookd.flow.status.subscription_status import LostRange
from webhookd.flow.subscription import Source
from workers.ingest.consumer.offset_lookup import LookupNeed, LookupRequest, LookupResult, look_up
from workers.ingest.consumer.stall_check import StallCheck
from workers.ingest.ports import Services

FIRST_TIMEOUT_S = 1.0
"""The first lookup waits this long. A leader that does not answer delays the lanes of the other leaders by as much."""

RETRY_TIMEOUT_S = 5.0
"""The timeout for partitions that Kafka did not answer for within FIRST_TIMEOUT_S."""

RETRY_S = 1.0

LaneOffset = tuple[Lane, int]
"""A lane, and the offset that its Kafka consumer has to seek."""

_log = logs.get(__name__)


class Owner(Protocol):
    """The part of SubscriptionConsumer that this module uses; every method is for the ingest loop's thread."""

    @property
    def closed(self) -> bool:
        """Whether the consumer is leaving its group: nothing is looked up any more."""

    @property
    def stall_check(self) -> StallCheck:
        """The check that gets the results of lookups."""

    def lane(self, partition: Partition) -> Lane | None:
        """The open lane of a partition."""

    def open_lane(self, partition: Partition) -> Lane:
        """Open a new lane in place of the one that was open."""

    def seek(self, targets: Sequence[LaneOffset]) -> None:
        """Seek to these offsets, at which the lanes continue."""

    def request_dispatch(self) -> None:
        """Request a dispatch: there may be something to publish."""

    def report_lost(self, lost: LostRange) -> None:
        """Report offsets that were not read and that Kafka no longer holds."""


class StartPositions:
    """Owned by the ingest loop's thread. Lookups run in the background and pass their results to the loop as calls."""

    def __init__(self, owner: Owner, sources: Mapping[str, Source], services: Services, subscription_id: str) -> None:
        self._owner = owner
        self._sources = sources
        self._services = services
        self._subscription_id = subscription_id
        self._needs: dict[Partition, LookupNeed] = {}
        self._pending: dict[Partition, LookupRequest] = {}
        self._lookup_running = False

    def assigned(self, partitions: Sequence[Partition]) -> None:
        """Open lanes for partitions that were just assigned.

        The lanes read at once. They may dispatch after the commit metadata is restored.
        """
        for partition in partitions:
            self._owner.open_lane(partition).position_known = False
            self._needs[partition] = LookupNeed.COMMITTED
        self._schedule_lookup()

    def unpositioned(self, partition: Partition) -> None:
        """The Kafka consumer has no valid position in a partition: look up where to start."""
        self._need(partition, LookupNeed.START_OFFSET)

    def check_topic(self, lane: Lane, topics: Topics) -> None:
        """Compare the topic id of a lane with the latest topic metadata."""
        topic = lane.partition.topic
        topic_id = topics.ids.get(topic, "")
        if not topics.partitions.get(topic):
            lane.topic_confirmed = False
        elif same_topic(lane.topic_id, topic_id):
            lane.topic_id = topic_id or lane.topic_id
            lane.topic_confirmed = True
        else:
            lane.topic_confirmed = False
            self._need(lane.partition, LookupNeed.TOPIC_ID)

    def _need(self, partition: Partition, need: LookupNeed) -> None:
        pending = self._pending.get(partition)
        if pending is not None and pending.need >= need and pending.lane is self._owner.lane(partition):
            return  # the running lookup covers it
        self._needs[partition] = max(need, self._needs.get(partition, need))
        self._schedule_lookup()

    def _schedule_lookup(self) -> None:
        """Schedule a lookup as a call, so that it covers all lanes that need one by then; only one runs at a time."""
        if not self._lookup_running:
            self._lookup_running = True
            self._services.call(self._look_up_needs)

    def _look_up_needs(self) -> None:
        needs, self._needs = self._needs, {}
        self._lookup_running = True
        if not self._start_lookup(needs, FIRST_TIMEOUT_S):
            self._lookup_running = False

    def _retry_lookup(self, needs: Mapping[Partition, LookupNeed]) -> None:
        self._start_lookup(needs, RETRY_TIMEOUT_S)

    def _start_lookup(self, needs: Mapping[Partition, LookupNeed], timeout_s: float) -> bool:
        """Start a lookup; returns whether there was anything to look up."""
        lanes = {partition: self._owner.lane(partition) for partition in needs}
        requests = {
            p: LookupRequest(lane, needs[p], lane.ledger.position) for p, lane in lanes.items() if lane is not None
        }
        if self._owner.closed or not requests:
            return False
        self._pending |= requests

        def look_up_in_background() -> None:
            found: Mapping[Partition, LookupResult] = {}
            try:
                found = look_up(self._services, self._subscription_id, requests, timeout_s)
            except Exception:  # noqa: BLE001 - without a result no lookup would be started any more
                _log.exception("position_lookup_failed", subscription=self._subscription_id)
            self._services.call(lambda: self._lookup_done(requests, found, first=timeout_s == FIRST_TIMEOUT_S))

        self._services.in_background(look_up_in_background)
        return True

    def _lookup_done(
        self, requests: Mapping[Partition, LookupRequest], found: Mapping[Partition, LookupResult], *, first: bool
    ) -> None:
        for partition, request in requests.items():
            if self._pending.get(partition) is request:
                del self._pending[partition]
        try:
            if not self._owner.closed:
                self._apply(requests, found)
        finally:
            if first:
                self._look_up_needs()
            elif self._needs:
                self._schedule_lookup()

    def _apply(self, requests: Mapping[Partition, LookupRequest], found: Mapping[Partition, LookupResult]) -> None:
        targets: list[LaneOffset] = []
        missing: dict[Partition, LookupNeed] = {}
        for partition, request in requests.items():
            if self._owner.lane(partition) is request.lane:
                need = self._apply_result(request, found.get(partition), targets)
                if need is not None:
                    missing[partition] = need
        self._owner.stall_check.positions_looked_up(requests.keys() - missing.keys())
        self._owner.stall_check.positions_looked_up(missing, "the brokers do not answer")
        self._owner.seek(targets)
        self._owner.request_dispatch()
        if missing:
            lanes = [str(partition) for partition in missing]
            _log.warning("position_unknown", subscription=self._subscription_id, lanes=lanes[:20], count=len(lanes))
            self._services.call_later(RETRY_S, lambda: self._retry_lookup(missing))

    def _apply_result(
        self, request: LookupRequest, found: LookupResult | None, targets: list[LaneOffset]
    ) -> LookupNeed | None:
        """Apply a result; returns what has to be looked up again because Kafka did not answer."""
        lane = request.lane
        if found is None:
            return request.need
        restored = request.need is LookupNeed.TOPIC_ID or self._restore_metadata(lane, found)
        if request.need is LookupNeed.COMMITTED:
            if not restored:
                self._needs[lane.partition] = LookupNeed.TOPIC_ID
                return None
            if found.committed is not None or lane.ledger.position != UNREAD:
                return None  # the Kafka consumer starts at the commit by itself
        if found.bounds is None:
            return max(request.need, LookupNeed.START_OFFSET)
        target = self._new_position(request, found, found.bounds)
        if target is not None:
            self._needs.pop(lane.partition, None)
            targets.append(target)
        return None

    def _restore_metadata(self, lane: Lane, found: LookupResult) -> bool:
        """Restore the commit metadata; returns whether it belongs to the topic that exists now."""
        if lane.position_known:
            return True
        lane.restore(found.committed.metadata if found.committed else NO_METADATA, self._services.monotonic())
        lane.position_known = same_topic(lane.topic_id, found.topic_id)
        if lane.position_known:
            lane.topic_id = found.topic_id or lane.topic_id
        return lane.position_known

    def _new_position(self, request: LookupRequest, found: LookupResult, bounds: OffsetRange) -> LaneOffset | None:
        """Return where the lane, or the one that replaces it, continues; None when its position stays."""
        lane = request.lane
        if request.need is LookupNeed.TOPIC_ID:
            return self._replace_if_recreated(lane, found, bounds)
        if lane.ledger.position not in {UNREAD, request.position}:  # the lane has read more since the request
            return lane, lane.ledger.position
        if not same_topic(lane.topic_id, found.topic_id):
            return self._replace_if_recreated(lane, found, bounds)
        wanted = _wanted_offset(lane, found.committed, found.topic_id)
        source = self._sources[lane.partition.topic]
        start = start_position(source, lane.partition.number, wanted, bounds.first, bounds.end, found.topic_id)
        if start.lost:
            self._report_lost(lane.partition, start)
        if start.offset < lane.ledger.watermark:  # the topic was recreated: the old offsets are void
            lane = self._replace_lane(lane.partition, found.topic_id)
        lane.skip_to(start.offset)
        return lane, start.offset

    def _replace_if_recreated(self, lane: Lane, found: LookupResult, bounds: OffsetRange) -> LaneOffset | None:
        """Replace the lane by one that starts at the first offset, if its topic was recreated."""
        if not same_topic(lane.topic_id, found.topic_id):
            another = self._replace_lane(lane.partition, found.topic_id)
            another.skip_to(bounds.first)
            return another, bounds.first
        if not lane.position_known:  # brokers may return different ids for a while: the next metadata decides
            lane.position_known, lane.topic_confirmed = True, False
        return None

    def _replace_lane(self, partition: Partition, topic_id: str) -> Lane:
        """Open a new lane for the topic with this id; it takes no message before the seek is done."""
        lane = self._owner.open_lane(partition)
        lane.topic_id = topic_id
        lane.awaiting_seek = True
        _log.warning("topic_recreated", subscription=self._subscription_id, lane=lane.name, topic_id=topic_id)
        return lane

    def _report_lost(self, partition: Partition, start: StartPosition) -> None:
        self._owner.report_lost(
            LostRange(
                topic=partition.topic,
                partition=partition.number,
                first=start.offset - start.lost,
                end=start.offset,
                at=self._services.wall_clock(),
            )
        )


def _wanted_offset(lane: Lane, committed: OffsetAndMetadata | None, topic_id: str) -> int | None:
    """Return where the lane should continue: its position, or the committed offset if that is of the same topic."""
    if lane.ledger.position != UNREAD:
        return lane.ledger.position
    if committed is None or not same_topic(committed.metadata.topic_id, topic_id):
        return None
    return committed.offset
