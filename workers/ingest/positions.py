"""Where the lanes of one subscription begin to read.

event                             asked of Kafka, in the background   then
a partition is assigned           the committed offset's memo         the lane may dispatch, its past known
it has no usable position         committed, first and end offset     it begins where flow/start.py says
its topic has another UUID        first and end offset                another lane, from the first offset
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from confluent_kafka import KafkaException

from webhookd import logs
from webhookd.flow.condition import LostRange
from webhookd.flow.lane import Lane
from webhookd.flow.ledger import UNREAD
from webhookd.flow.memo import NOTHING
from webhookd.flow.position import Bounds, Mark, Partition
from webhookd.flow.start import beginning, same_topic
from webhookd.flow.subscription import Source
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
        self._topic_ids: Mapping[str, str] = {}

    def assigned(self, partitions: Sequence[Partition]) -> None:
        """Lanes for what was just assigned: they read at once, and dispatch when their past is known."""
        for partition in partitions:
            self._lanes.open(partition).known = False
        self._recall(partitions)

    def unpositioned(self, partition: Partition) -> None:
        """Kafka has no position for the lane: ask where it begins."""
        self._look_up(partition, anew=False)

    def saw_topics(self, ids: Mapping[str, str]) -> None:
        """The UUIDs of the topics by now."""
        self._topic_ids = ids

    def identify(self, lane: Lane) -> None:
        """Compare the lane with its topic as it is now: one that was made again is another lane from its beginning."""
        known = self._topic_ids.get(lane.partition.topic, "")
        if same_topic(lane.topic_id, known):
            lane.topic_id = known or lane.topic_id
            return
        _log.warning("topic_made_again", subscription=self._subscription_id, lane=lane.key, topic_id=known)
        fresh = self._lanes.open(lane.partition)
        fresh.topic_id = known
        fresh.adrift = True  # what its consumer still hands over is the old topic's
        self._look_up(lane.partition, anew=True)

    def _look_up(self, partition: Partition, *, anew: bool) -> None:
        def ask() -> Callable[[], None]:
            bounds = self._lanes.reader.bounds(partition, ASK_TIMEOUT_S)
            return lambda: self._begin(partition, bounds, anew=anew)

        self._ask(ask, partition)

    def _recall(self, partitions: Sequence[Partition]) -> None:
        def ask() -> Callable[[], None]:
            marks = self._lanes.reader.committed(partitions, ASK_TIMEOUT_S)
            return lambda: self._remember(marks)

        self._ask(ask, *partitions)

    def _remember(self, marks: Mapping[Partition, Mark | None]) -> None:
        for partition, mark in marks.items():
            lane = self._lanes.lane(partition)
            if lane is not None and not lane.known:
                lane.recall(mark.memo if mark else NOTHING, self._services.monotonic())
                self.identify(lane)
        self._lanes.dispatch()

    def _begin(self, partition: Partition, bounds: Bounds, *, anew: bool) -> None:
        lane = self._lanes.lane(partition)
        if lane is None or self._lanes.closed:
            return
        topic_id = self._topic_ids.get(partition.topic, "")
        wanted = bounds.first if anew else _wanted(lane, bounds.committed, topic_id)
        source = self._sources[partition.topic]
        start = beginning(source, partition.number, wanted, bounds.first, bounds.end, topic_id)
        if start.lost:
            self._lanes.lost(
                LostRange(
                    topic=partition.topic,
                    partition=partition.number,
                    first=start.offset - start.lost,
                    end=start.offset,
                    at=self._services.wall_clock(),
                )
            )
        if start.offset < lane.ledger.watermark:  # the topic was deleted and made again: what was settled is history
            lane = self._lanes.open(partition)
            lane.topic_id = topic_id
        lane.skip_to(start.offset)
        self._lanes.reread(lane, start.offset)

    def _ask(self, ask: Callable[[], Callable[[], None]], *partitions: Partition) -> None:
        """Ask in the background until Kafka answers, and go on on the loop's thread."""

        def asking() -> None:
            try:
                self._services.call(ask())
            except (KafkaException, RuntimeError) as error:  # RuntimeError: closed meanwhile
                if self._lanes.closed:
                    return
                lanes = [str(partition) for partition in partitions]
                _log.warning("position_unknown", subscription=self._subscription_id, lanes=lanes, detail=str(error))
                self._services.call_later(ASK_AGAIN_S, lambda: self._services.in_background(asking))

        self._services.in_background(asking)


def _wanted(lane: Lane, committed: Mark | None, topic_id: str) -> int | None:
    """Where the lane should read on: where it is, or at the committed offset if that is one of the same topic."""
    if lane.ledger.seen != UNREAD:
        return lane.ledger.seen
    if committed is None or not same_topic(committed.memo.topic_id, topic_id):
        return None
    return committed.offset
