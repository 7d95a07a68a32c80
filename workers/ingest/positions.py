"""Where the lanes of one subscription begin to read.

    event                             asked of Kafka, in the background   then
    a partition is assigned           the committed memo, the topic's     the lane may dispatch, its past known; or it
                                      UUID                                is another topic by now, see below
    it has no usable position         committed, first and end offset,    it begins where flow/start.py says
                                      UUID
    a look finds another UUID         the same                            another lane, from the first offset

A lane commits only while the last look at its topic found the UUID that it reads under. Looks come right before
commits, so the moment in which a commit could reach a topic that was made in the place of the old one is short.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

from confluent_kafka import KafkaException

from webhookd import logs
from webhookd.flow.condition import LostRange
from webhookd.flow.lane import Lane
from webhookd.flow.ledger import UNREAD
from webhookd.flow.memo import NOTHING
from webhookd.flow.position import Bounds, Mark, Partition
from webhookd.flow.start import Beginning, beginning, same_topic
from webhookd.flow.subscription import Source
from webhookd.flow.topics import Topics
from workers.ingest.oversight import Oversight
from workers.ingest.ports import Reader, Services

ASK_TIMEOUT_S = 5.0
ASK_AGAIN_S = 1.0

_log = logs.get(__name__)


class Lanes(Protocol):
    """The intake that the lanes are of; every method is for the ingest loop's thread."""

    @property
    def closed(self) -> bool:
        """Whether it is left: nothing is asked for it any more."""

    @property
    def oversight(self) -> Oversight:
        """What hears which positions could not be learnt."""

    @property
    def reader(self) -> Reader:
        """Its consumer."""

    def lane(self, partition: Partition) -> Lane | None:
        """The lane that is open for a partition."""

    def open(self, partition: Partition) -> Lane:
        """A new lane in the place of the one that was open, which is forgotten."""

    def reread(self, lane: Lane, offset: int) -> None:
        """Read on from an offset."""

    def dispatch(self) -> None:
        """There may be something to dispatch now."""

    def lost(self, lost: LostRange) -> None:
        """Kafka no longer holds these offsets."""


class Positions:
    """Owned by the ingest loop's thread; asks in the background and comes back with a call."""

    def __init__(self, lanes: Lanes, sources: Mapping[str, Source], services: Services, subscription_id: str) -> None:
        self._lanes = lanes
        self._sources = sources
        self._services = services
        self._subscription_id = subscription_id

    def assigned(self, partitions: Sequence[Partition]) -> None:
        """Lanes for what was just assigned: they read at once, and dispatch when their past is known."""
        for partition in partitions:
            self._lanes.open(partition).known = False

        def ask() -> Callable[[], None]:
            marks = self._lanes.reader.committed(partitions, ASK_TIMEOUT_S)
            ids = self._services.topics({partition.topic for partition in partitions}).ids
            return lambda: self._remember(marks, ids)

        self._ask(ask, *partitions)

    def unpositioned(self, partition: Partition) -> None:
        """Kafka has no position for the lane: ask where it begins."""
        self._look_up(partition, anew=False)

    def confirm(self, lane: Lane, topics: Topics) -> None:
        """Hold a look at the topics against the lane."""
        topic = lane.partition.topic
        topic_id = topics.ids.get(topic, "")
        if not topics.partitions.get(topic):
            lane.confirmed = False
        elif same_topic(lane.topic_id, topic_id):
            lane.topic_id = topic_id or lane.topic_id
            lane.confirmed = True
        else:
            lane.confirmed = False
            self._look_up(lane.partition, anew=True)

    def _look_up(self, partition: Partition, *, anew: bool) -> None:
        lane = self._lanes.lane(partition)
        seen = lane.ledger.seen if lane is not None else UNREAD

        def ask() -> Callable[[], None]:
            bounds = self._lanes.reader.bounds(partition, ASK_TIMEOUT_S)
            topic_id = self._services.topics([partition.topic]).ids.get(partition.topic, "")
            return lambda: (
                self._renew(partition, bounds, topic_id) if anew else self._begin(partition, bounds, topic_id, seen)
            )

        self._ask(ask, partition)

    def _remember(self, marks: Mapping[Partition, Mark | None], ids: Mapping[str, str]) -> None:
        for partition, mark in marks.items():
            lane = self._lanes.lane(partition)
            if lane is None or lane.known:
                continue
            topic_id = ids.get(partition.topic, "")
            lane.recall(mark.memo if mark else NOTHING, self._services.monotonic())
            if same_topic(lane.topic_id, topic_id):
                lane.topic_id = topic_id or lane.topic_id
            else:
                lane.known = False  # what is committed is the old topic's
                self._look_up(partition, anew=True)
        self._lanes.dispatch()

    def _renew(self, partition: Partition, bounds: Bounds, topic_id: str) -> None:
        """Another lane from the first offset, unless it is another one already."""
        lane = self._lanes.lane(partition)
        if lane is None or self._lanes.closed:
            return
        if not same_topic(lane.topic_id, topic_id):
            self._set_off(self._renewed(partition, topic_id), bounds.first)
        elif not lane.known:  # the brokers do not agree yet: the next look confirms the lane, or finds the other topic
            lane.known, lane.confirmed = True, False
            self._lanes.dispatch()

    def _begin(self, partition: Partition, bounds: Bounds, topic_id: str, seen: int) -> None:
        """Begin where flow/start.py says; `seen` is how far the lane had read when Kafka was asked."""
        lane = self._lanes.lane(partition)
        if lane is None or self._lanes.closed:
            return
        if lane.ledger.seen not in {UNREAD, seen}:  # it has read on since: what was answered says nothing about it
            self._lanes.reread(lane, lane.ledger.seen)
            return
        if not same_topic(lane.topic_id, topic_id):
            self._renew(partition, bounds, topic_id)
            return
        wanted = _wanted(lane, bounds.committed, topic_id)
        source = self._sources[partition.topic]
        start = beginning(source, partition.number, wanted, bounds.first, bounds.end, topic_id)
        if start.lost:
            self._say_lost(partition, start)
        if start.offset < lane.ledger.watermark:  # the topic was deleted and made again: what was settled is history
            lane = self._renewed(partition, topic_id)
        self._set_off(lane, start.offset)

    def _set_off(self, lane: Lane, offset: int) -> None:
        lane.skip_to(offset)
        self._lanes.reread(lane, offset)
        self._lanes.dispatch()

    def _renewed(self, partition: Partition, topic_id: str) -> Lane:
        """Another lane, for the topic that has this UUID; it takes nothing before its consumer was moved."""
        lane = self._lanes.open(partition)
        lane.topic_id = topic_id
        lane.adrift = True
        _log.warning("topic_made_again", subscription=self._subscription_id, lane=lane.key, topic_id=topic_id)
        return lane

    def _say_lost(self, partition: Partition, start: Beginning) -> None:
        self._lanes.lost(
            LostRange(
                topic=partition.topic,
                partition=partition.number,
                first=start.offset - start.lost,
                end=start.offset,
                at=self._services.wall_clock(),
            )
        )

    def _ask(self, ask: Callable[[], Callable[[], None]], *partitions: Partition) -> None:
        """Ask in the background until Kafka answers, and go on on the loop's thread."""

        def asking() -> None:
            try:
                go_on = ask()
            except (KafkaException, RuntimeError) as error:  # RuntimeError: closed meanwhile
                if self._lanes.closed:
                    return
                lanes = [str(partition) for partition in partitions]
                _log.warning("position_unknown", subscription=self._subscription_id, lanes=lanes, detail=str(error))
                self._services.call(partial(self._lanes.oversight.answered, partitions, str(error)))
                self._services.call_later(ASK_AGAIN_S, lambda: self._services.in_background(asking))
            else:
                self._services.call(partial(self._lanes.oversight.answered, partitions))
                self._services.call(go_on)

        self._services.in_background(asking)


def _wanted(lane: Lane, committed: Mark | None, topic_id: str) -> int | None:
    """Where the lane should read on: where it is, or at the committed offset if that is one of the same topic."""
    if lane.ledger.seen != UNREAD:
        return lane.ledger.seen
    if committed is None or not same_topic(committed.memo.topic_id, topic_id):
        return None
    return committed.offset
