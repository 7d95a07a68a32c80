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
from workers.ingest.consumer.offset_lookup import LookupNeed, LookupRequest, LookupResult, ask
from workers.ingest.consumer.stall_check import StallCheck
from workers.ingest.ports import Services

FIRST_TIMEOUT_S = 1.0
"""One leader that does not answer delays the lanes of the others for so long."""

ASK_TIMEOUT_S = 5.0
"""For what was not answered at first."""

ASK_AGAIN_S = 1.0

Move = tuple[Lane, int]
"""A lane, and the offset that its consumer has to go to."""

_log = logs.get(__name__)


class Lanes(Protocol):
    """The intake that the lanes are of; every method is for the ingest loop's thread."""

    @property
    def closed(self) -> bool:
        """Whether it is left: nothing is asked for it any more."""

    @property
    def stall_check(self) -> StallCheck:
        """What hears which positions could not be learnt."""

    def lane(self, partition: Partition) -> Lane | None:
        """The lane that is open for a partition."""

    def open(self, partition: Partition) -> Lane:
        """A new lane in the place of the one that was open, which is forgotten."""

    def reread(self, moves: Sequence[Move]) -> None:
        """Have these lanes read on from these offsets."""

    def dispatch(self) -> None:
        """There may be something to dispatch now."""

    def lost(self, lost: LostRange) -> None:
        """Kafka no longer holds these offsets."""


class StartPositions:
    """Owned by the ingest loop's thread; asks in the background and comes back with a call."""

    def __init__(self, lanes: Lanes, sources: Mapping[str, Source], services: Services, subscription_id: str) -> None:
        self._lanes = lanes
        self._sources = sources
        self._services = services
        self._subscription_id = subscription_id
        self._needs: dict[Partition, LookupNeed] = {}
        self._asked: dict[Partition, LookupRequest] = {}
        self._asking = False

    def assigned(self, partitions: Sequence[Partition]) -> None:
        """Lanes for what was just assigned: they read at once, and dispatch when their past is known."""
        for partition in partitions:
            self._lanes.open(partition).position_known = False
            self._needs[partition] = LookupNeed.PAST
        self._ask_soon()

    def unpositioned(self, partition: Partition) -> None:
        """Kafka has no position for the lane: ask where it begins."""
        self._lacks(partition, LookupNeed.PLACE)

    def confirm(self, lane: Lane, topics: Topics) -> None:
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
            self._lacks(lane.partition, LookupNeed.TOPIC)

    def _lacks(self, partition: Partition, need: LookupNeed) -> None:
        asked = self._asked.get(partition)
        if asked is not None and asked.need >= need and asked.lane is self._lanes.lane(partition):
            return  # the answer that is on its way says it
        self._needs[partition] = max(need, self._needs.get(partition, need))
        self._ask_soon()

    def _ask_soon(self) -> None:
        """In a moment, so that what many lanes lack at once is one question; and one such question at a time."""
        if not self._asking:
            self._asking = True
            self._services.call(self._ask_all)

    def _ask_all(self) -> None:
        needs, self._needs = self._needs, {}
        self._asking = True
        if not self._ask(needs, FIRST_TIMEOUT_S):
            self._asking = False

    def _ask_again(self, needs: Mapping[Partition, LookupNeed]) -> None:
        self._ask(needs, ASK_TIMEOUT_S)

    def _ask(self, needs: Mapping[Partition, LookupNeed], timeout_s: float) -> bool:
        """Ask; answers whether there is anything to ask."""
        lanes = {partition: self._lanes.lane(partition) for partition in needs}
        wishes = {
            p: LookupRequest(lane, needs[p], lane.ledger.position) for p, lane in lanes.items() if lane is not None
        }
        if self._lanes.closed or not wishes:
            return False
        self._asked |= wishes

        def asking() -> None:
            found: Mapping[Partition, LookupResult] = {}
            try:
                found = ask(self._services, self._subscription_id, wishes, timeout_s)
            except Exception:  # noqa: BLE001 - whatever it is: without an answer nothing would be asked any more
                _log.exception("positions_failed", subscription=self._subscription_id)
            self._services.call(lambda: self._answered(wishes, found, first=timeout_s == FIRST_TIMEOUT_S))

        self._services.in_background(asking)
        return True

    def _answered(
        self, wishes: Mapping[Partition, LookupRequest], found: Mapping[Partition, LookupResult], *, first: bool
    ) -> None:
        for partition, wish in wishes.items():
            if self._asked.get(partition) is wish:
                del self._asked[partition]
        try:
            if not self._lanes.closed:
                self._apply(wishes, found)
        finally:
            if first:
                self._ask_all()
            elif self._needs:
                self._ask_soon()

    def _apply(self, wishes: Mapping[Partition, LookupRequest], found: Mapping[Partition, LookupResult]) -> None:
        moves: list[Move] = []
        lacking: dict[Partition, LookupNeed] = {}
        for partition, wish in wishes.items():
            if self._lanes.lane(partition) is wish.lane:
                need = self._learn(wish, found.get(partition), moves)
                if need is not None:
                    lacking[partition] = need
        self._lanes.stall_check.answered(wishes.keys() - lacking.keys())
        self._lanes.stall_check.answered(lacking, "the brokers do not say")
        self._lanes.reread(moves)
        self._lanes.dispatch()
        if lacking:
            lanes = [str(partition) for partition in lacking]
            _log.warning("position_unknown", subscription=self._subscription_id, lanes=lanes[:20], count=len(lanes))
            self._services.call_later(ASK_AGAIN_S, lambda: self._ask_again(lacking))

    def _learn(self, wish: LookupRequest, found: LookupResult | None, moves: list[Move]) -> LookupNeed | None:
        """Apply what was found; answers what the lane still lacks because Kafka did not say it."""
        lane = wish.lane
        if found is None:
            return wish.need
        recalled = wish.need is LookupNeed.TOPIC or self._recall(lane, found)
        if wish.need is LookupNeed.PAST:
            if not recalled:
                self._needs[lane.partition] = LookupNeed.TOPIC
                return None
            if found.mark is not None or lane.ledger.position != UNREAD:
                return None  # its consumer finds the commit by itself
        if found.bounds is None:
            return max(wish.need, LookupNeed.PLACE)
        move = self._moved(wish, found, found.bounds)
        if move is not None:
            self._needs.pop(lane.partition, None)
            moves.append(move)
        return None

    def _recall(self, lane: Lane, found: LookupResult) -> bool:
        """Go on with what was committed; answers whether it is of the topic that there is."""
        if lane.position_known:
            return True
        lane.restore(found.mark.metadata if found.mark else NO_METADATA, self._services.monotonic())
        lane.position_known = same_topic(lane.topic_id, found.topic_id)
        if lane.position_known:
            lane.topic_id = found.topic_id or lane.topic_id
        return lane.position_known

    def _moved(self, wish: LookupRequest, found: LookupResult, bounds: OffsetRange) -> Move | None:
        """Where the lane, or another one in its place, has to read on; None where it is."""
        lane = wish.lane
        if wish.need is LookupNeed.TOPIC:
            return self._renewed_if_other(lane, found, bounds)
        if lane.ledger.position not in {UNREAD, wish.seen}:  # it has read on since: the answer says nothing about it
            return lane, lane.ledger.position
        if not same_topic(lane.topic_id, found.topic_id):
            return self._renewed_if_other(lane, found, bounds)
        wanted = _wanted(lane, found.mark, found.topic_id)
        source = self._sources[lane.partition.topic]
        start = start_position(source, lane.partition.number, wanted, bounds.first, bounds.end, found.topic_id)
        if start.lost:
            self._say_lost(lane.partition, start)
        if start.offset < lane.ledger.watermark:  # the topic was deleted and made again: what was settled is history
            lane = self._renewed(lane.partition, found.topic_id)
        lane.skip_to(start.offset)
        return lane, start.offset

    def _renewed_if_other(self, lane: Lane, found: LookupResult, bounds: OffsetRange) -> Move | None:
        """Another lane from the first offset, unless it is another one already."""
        if not same_topic(lane.topic_id, found.topic_id):
            another = self._renewed(lane.partition, found.topic_id)
            another.skip_to(bounds.first)
            return another, bounds.first
        if (
            not lane.position_known
        ):  # the brokers do not agree yet: the next look confirms the lane, or finds the other topic
            lane.position_known, lane.topic_confirmed = True, False
        return None

    def _renewed(self, partition: Partition, topic_id: str) -> Lane:
        """Another lane, for the topic that has this UUID; it takes nothing before its consumer was moved."""
        lane = self._lanes.open(partition)
        lane.topic_id = topic_id
        lane.awaiting_seek = True
        _log.warning("topic_made_again", subscription=self._subscription_id, lane=lane.name, topic_id=topic_id)
        return lane

    def _say_lost(self, partition: Partition, start: StartPosition) -> None:
        self._lanes.lost(
            LostRange(
                topic=partition.topic,
                partition=partition.number,
                first=start.offset - start.lost,
                end=start.offset,
                at=self._services.wall_clock(),
            )
        )


def _wanted(lane: Lane, committed: OffsetAndMetadata | None, topic_id: str) -> int | None:
    """Where the lane should read on: where it is, or at the committed offset if that is one of the same topic."""
    if lane.ledger.position != UNREAD:
        return lane.ledger.position
    if committed is None or not same_topic(committed.metadata.topic_id, topic_id):
        return None
    return committed.offset
