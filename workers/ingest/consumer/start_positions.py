"""Where the lanes of one subscription begin to read.

    event                             asked of Kafka, in the background   then
    a partition is assigned           the committed memo, the topic's     the lane may dispatch, its past known; or it
                                      UUID; without a usable commit also  begins where start_position.py says; or it is
                                      first and end offset                another topic by now, see below
    it has no usable position         committed, first and end offset,    it begins where start_position.py says
                                      UUID
    a look finds another UUID         the same                            another lane, from the first offset

Kafka is asked for all lanes that lack something in one question. What it does not answer (a partition's leader is
down) is asked again in a question of its own, so that it does not delay the others.

A lane commits only while the last look at its topic found the UUID that it reads under. Looks come right before
commits, so the moment in which a commit could reach a topic that was made in the place of the old one is short.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from webhookd import logs
from webhookd.flow.dispatch.delivery import Lane
from webhookd.flow.offsets.commit_metadata import NO_METADATA
from webhookd.flow.offsets.ledger import UNREAD
from webhookd.flow.offsets.position import OffsetAndMetadata, OffsetRange, Partition
from webhookd.flow.offsets.start_position import StartPosition, same_topic, start_position
from webhookd.flow.offsets.topic_metadata import Topics
from webhookd.flow.status.subscription_status import LostRange
from webhookd.flow.subscription import Source
from workers.ingest.consumer.offset_lookup import LookupNeed, LookupRequest, LookupResult, look_up
from workers.ingest.consumer.stall_check import StallCheck
from workers.ingest.ports import Services

FIRST_TIMEOUT_S = 1.0
"""One leader that does not answer delays the lanes of the others for so long."""

RETRY_TIMEOUT_S = 5.0
"""For what was not answered at first."""

RETRY_S = 1.0

LaneOffset = tuple[Lane, int]
"""A lane, and the offset that its consumer has to go to."""

_log = logs.get(__name__)


class Owner(Protocol):
    """The intake that the lanes are of; every method is for the ingest loop's thread."""

    @property
    def closed(self) -> bool:
        """Whether it is left: nothing is asked for it any more."""

    @property
    def stall_check(self) -> StallCheck:
        """What hears which positions could not be learnt."""

    def lane(self, partition: Partition) -> Lane | None:
        """The lane that is open for a partition."""

    def open_lane(self, partition: Partition) -> Lane:
        """A new lane in the place of the one that was open, which is forgotten."""

    def seek(self, targets: Sequence[LaneOffset]) -> None:
        """Have these lanes read on from these offsets."""

    def request_dispatch(self) -> None:
        """There may be something to dispatch now."""

    def report_lost(self, lost: LostRange) -> None:
        """Kafka no longer holds these offsets."""


class StartPositions:
    """Owned by the ingest loop's thread; asks in the background and comes back with a call."""

    def __init__(self, owner: Owner, sources: Mapping[str, Source], services: Services, subscription_id: str) -> None:
        self._owner = owner
        self._sources = sources
        self._services = services
        self._subscription_id = subscription_id
        self._needs: dict[Partition, LookupNeed] = {}
        self._pending: dict[Partition, LookupRequest] = {}
        self._lookup_running = False

    def assigned(self, partitions: Sequence[Partition]) -> None:
        """Owner for what was just assigned: they read at once, and dispatch when their past is known."""
        for partition in partitions:
            self._owner.open_lane(partition).position_known = False
            self._needs[partition] = LookupNeed.COMMITTED
        self._schedule_lookup()

    def unpositioned(self, partition: Partition) -> None:
        """Kafka has no position for the lane: ask where it begins."""
        self._need(partition, LookupNeed.START_OFFSET)

    def check_topic(self, lane: Lane, topics: Topics) -> None:
        """Hold a look at the topics against the lane."""
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
        asked = self._pending.get(partition)
        if asked is not None and asked.need >= need and asked.lane is self._owner.lane(partition):
            return  # the answer that is on its way says it
        self._needs[partition] = max(need, self._needs.get(partition, need))
        self._schedule_lookup()

    def _schedule_lookup(self) -> None:
        """In a moment, so that what many lanes lack at once is one question; and one such question at a time."""
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
        """Ask; answers whether there is anything to ask."""
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
            except Exception:  # noqa: BLE001 - whatever it is: without an answer nothing would be asked any more
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
        self._owner.stall_check.positions_looked_up(missing, "the brokers do not say")
        self._owner.seek(targets)
        self._owner.request_dispatch()
        if missing:
            lanes = [str(partition) for partition in missing]
            _log.warning("position_unknown", subscription=self._subscription_id, lanes=lanes[:20], count=len(lanes))
            self._services.call_later(RETRY_S, lambda: self._retry_lookup(missing))

    def _apply_result(
        self, request: LookupRequest, found: LookupResult | None, targets: list[LaneOffset]
    ) -> LookupNeed | None:
        """Apply what was found; answers what the lane still lacks because Kafka did not say it."""
        lane = request.lane
        if found is None:
            return request.need
        restored = request.need is LookupNeed.TOPIC_ID or self._restore_metadata(lane, found)
        if request.need is LookupNeed.COMMITTED:
            if not restored:
                self._needs[lane.partition] = LookupNeed.TOPIC_ID
                return None
            if found.committed is not None or lane.ledger.position != UNREAD:
                return None  # its consumer finds the commit by itself
        if found.bounds is None:
            return max(request.need, LookupNeed.START_OFFSET)
        target = self._new_position(request, found, found.bounds)
        if target is not None:
            self._needs.pop(lane.partition, None)
            targets.append(target)
        return None

    def _restore_metadata(self, lane: Lane, found: LookupResult) -> bool:
        """Go on with what was committed; answers whether it is of the topic that there is."""
        if lane.position_known:
            return True
        lane.restore(found.committed.metadata if found.committed else NO_METADATA, self._services.monotonic())
        lane.position_known = same_topic(lane.topic_id, found.topic_id)
        if lane.position_known:
            lane.topic_id = found.topic_id or lane.topic_id
        return lane.position_known

    def _new_position(self, request: LookupRequest, found: LookupResult, bounds: OffsetRange) -> LaneOffset | None:
        """Where the lane, or another one in its place, has to read on; None where it is."""
        lane = request.lane
        if request.need is LookupNeed.TOPIC_ID:
            return self._replace_if_recreated(lane, found, bounds)
        if lane.ledger.position not in {UNREAD, request.seen}:  # it has read on since: the answer says nothing about it
            return lane, lane.ledger.position
        if not same_topic(lane.topic_id, found.topic_id):
            return self._replace_if_recreated(lane, found, bounds)
        wanted = _wanted_offset(lane, found.committed, found.topic_id)
        source = self._sources[lane.partition.topic]
        start = start_position(source, lane.partition.number, wanted, bounds.first, bounds.end, found.topic_id)
        if start.lost:
            self._report_lost(lane.partition, start)
        if start.offset < lane.ledger.watermark:  # the topic was deleted and made again: what was settled is history
            lane = self._replace_lane(lane.partition, found.topic_id)
        lane.skip_to(start.offset)
        return lane, start.offset

    def _replace_if_recreated(self, lane: Lane, found: LookupResult, bounds: OffsetRange) -> LaneOffset | None:
        """Another lane from the first offset, unless it is another one already."""
        if not same_topic(lane.topic_id, found.topic_id):
            another = self._replace_lane(lane.partition, found.topic_id)
            another.skip_to(bounds.first)
            return another, bounds.first
        if (
            not lane.position_known
        ):  # the brokers do not agree yet: the next look confirms the lane, or finds the other topic
            lane.position_known, lane.topic_confirmed = True, False
        return None

    def _replace_lane(self, partition: Partition, topic_id: str) -> Lane:
        """Another lane, for the topic that has this UUID; it takes nothing before its consumer was moved."""
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
    """Where the lane should read on: where it is, or at the committed offset if that is one of the same topic."""
    if lane.ledger.position != UNREAD:
        return lane.ledger.position
    if committed is None or not same_topic(committed.metadata.topic_id, topic_id):
        return None
    return committed.offset
