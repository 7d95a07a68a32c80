"""One subscription at work in this process: its consumer, its lanes, its counters and its health."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from confluent_kafka import KafkaException, Message

from webhookd import logs
from webhookd.edges.kafka_reader import Listener
from webhookd.flow.activity_fold import ActivityFold
from webhookd.flow.condition import Condition, Health, TopicCondition
from webhookd.flow.dead_letter import DeadLetter
from webhookd.flow.filters.matcher import Matcher
from webhookd.flow.lane import Lane, LaneState
from webhookd.flow.lane import Message as Record
from webhookd.flow.ledger import UNREAD
from webhookd.flow.position import Partition
from webhookd.flow.route import Route
from webhookd.flow.start import beginning
from webhookd.flow.subscription import Source
from webhookd.flow.throttle import Throttle
from workers.ingest.ports import Reader, Services

ASK_TIMEOUT_S = 5.0
ASK_AGAIN_S = 1.0
TURN_S = 0.02
"""How long one subscription's records may keep the loop from the others'."""

FIRST_SLICE = 32
MOST_IN_A_SLICE = 2048
"""Records between two looks at the clock; doubles while they are quick."""

LONGEST_QUIET_S = 0.2
"""A consumer that has long been idle is looked at so often; its first record is at most so late."""

_log = logs.get(__name__)


@dataclass(slots=True)
class Counters:
    """Records since the subscription was made; `filter_errors` those of earlier runs only."""

    delivered: int = 0
    filtered: int = 0
    dead_lettered: int = 0
    filter_errors: int = 0


@dataclass(slots=True)
class Vitals:
    """What the condition shows besides the counters."""

    health: Health = Health.HEALTHY
    reason: str = ""
    since: float = 0.0
    topics: dict[str, int] = field(default_factory=dict)


class Intake:
    """Owned by the ingest loop's thread; made and polled there."""

    def __init__(
        self,
        route: Route,
        matchers: Mapping[str, Matcher],
        throttle: Throttle,
        services: Services,
        open_reader: Callable[[Listener], Reader],
        previous: Condition | None,
    ) -> None:
        self.route = route
        self.subscription = route.subscription
        self.counters, self.vitals = _resumed(previous, services.wall_clock())
        self.fold = ActivityFold()
        self.throttle = throttle
        self.changed = True
        self.poll_at = 0.0
        self.closed = False
        self.broken = False
        self.joined = False
        self._unread: list[Message] = []
        self._slice = FIRST_SLICE
        self._matchers = matchers
        self._sources: dict[str, Source] = {source.topic: source for source in self.subscription.sources}
        self._services = services
        self._active_at = services.monotonic()
        self.reader = open_reader(
            Listener(
                assigned=self._assigned,
                revoked=self._revoked,
                lost=self._lost,
                unpositioned=self._unpositioned,
                uncommitted=self._uncommitted,
                failed=self._failed,
            )
        )

    def poll(self, now: float, pause_s: float) -> bool:
        """Read what has arrived into the lanes; answers whether there was anything."""
        lanes = self.route.lanes
        if self.throttle.skips(lanes.values(), now):
            self.poll_at = now + pause_s
            return False
        messages = self._unread or self.reader.poll()
        if messages:
            self._take_for_a_while(messages, now)
            self._active_at = now
            self.poll_at = now
        else:
            self.poll_at = now + min(LONGEST_QUIET_S, max(pause_s, (now - self._active_at) / 4))
        self._throttle()
        return bool(messages)

    def _take_for_a_while(self, messages: list[Message], now: float) -> None:
        """Take what was read, in slices, and leave the rest for the next turn: filters may be slow."""
        self._unread = messages
        clock = self._services.monotonic
        began = clock()
        until = began + TURN_S
        while self._unread and began < until:
            part, self._unread = self._unread[: self._slice], self._unread[self._slice :]
            self._take(part, now)
            ended = clock()
            if ended - began > TURN_S / 2:
                self._slice = max(1, self._slice // 4)
            else:
                self._slice = min(MOST_IN_A_SLICE, self._slice * 2)
            began = ended

    def reread(self, lane: Lane, offset: int) -> None:
        """Go back to `offset`, where the lane's watermark is; a lane that is not ours any more stays as it is."""
        if offset == UNREAD or not self._owns(lane):
            return
        self._drop_unread(lane.partition)
        try:
            self.reader.reposition(lane.partition, offset)
            if lane.paused:
                self.reader.pause(lane.partition)
        except KafkaException as error:
            _log.warning("reposition_failed", subscription=self.subscription.id, lane=lane.key, detail=str(error))
            self._services.call_later(ASK_AGAIN_S, lambda: self.reread(lane, offset))
        else:
            lane.adrift = False

    def hold(self, lane: Lane) -> None:
        """Stop reading a lane whose delivery was exhausted."""
        if self._owns(lane):
            self._pause(lane)

    def release(self, lane: Lane) -> None:
        """Read again for a probe."""
        if lane.paused:
            lane.paused = False
            self.reader.resume(lane.partition)

    def watermarks(self) -> dict[Partition, int]:
        """What has to be committed since the last time."""
        moved = {}
        for lane in self.route.lanes.values():
            watermark = lane.ledger.watermark
            if watermark > lane.committed:
                moved[lane.partition] = lane.committed = watermark
        return moved

    @property
    def holds(self) -> bool:
        """Whether any lane waits for its probe, or for the probe's answer."""
        return any(lane.state is not LaneState.FLOWING for lane in self.route.lanes.values())

    def delivered(self) -> None:
        """A delivery succeeded: healthy again, unless another lane still waits for its endpoint to recover."""
        if self.vitals.health is Health.UNHEALTHY and not self.holds:
            self.become(Health.HEALTHY)

    def commit(self) -> None:
        """Ask Kafka to keep the watermarks that moved; one that does not get there is said again."""
        moved = self.watermarks()
        if not moved or self.broken:
            return
        try:
            self.reader.commit(moved)
        except (KafkaException, RuntimeError) as error:
            _log.warning("commit_failed", subscription=self.subscription.id, detail=str(error))
            self._uncommitted(list(moved))

    def become(self, health: Health, reason: str = "") -> None:
        """Change the health shown in the status."""
        if (health, reason) != (self.vitals.health, self.vitals.reason):
            self.vitals.health, self.vitals.reason = health, reason
            self.vitals.since = self._services.wall_clock()
            self.changed = True
            _log.info("health_changed", subscription=self.subscription.id, health=str(health), reason=reason)

    def saw_topics(self, partitions: Mapping[str, int]) -> None:
        """How many partitions each topic has by now."""
        topics = {topic: partitions.get(topic, 0) for topic in self._sources}
        if topics != self.vitals.topics:
            self.vitals.topics = topics
            self.changed = True

    def condition(self) -> Condition:
        """What the status shows."""
        errors = [matcher for matcher in self._matchers.values() if matcher.errors]
        return Condition(
            subscription_id=self.subscription.id,
            health=self.vitals.health,
            reason=self.vitals.reason,
            since=self.vitals.since,
            topics=tuple(TopicCondition(topic=t, partitions=n) for t, n in self.vitals.topics.items()),
            delivered=self.counters.delivered,
            filtered=self.counters.filtered,
            filter_errors=self.counters.filter_errors + sum(matcher.errors for matcher in errors),
            last_filter_error=errors[-1].last_error if errors else "",
            dead_lettered=self.counters.dead_lettered,
        )

    def close(self) -> None:
        """Commit and leave the group, in the background; nothing of its lanes is touched any more."""
        self.closed = True
        positions = {lane.partition: lane.ledger.watermark for lane in self.route.lanes.values()}
        known = {partition: offset for partition, offset in positions.items() if offset != UNREAD}
        self._services.in_background(lambda: self.reader.close(known))

    def _owns(self, lane: Lane) -> bool:
        return not self.closed and self.route.lanes.get(lane.place) is lane

    def _take(self, messages: Sequence[Message], now: float) -> None:
        for (topic, number), taken in self._by_lane(messages):
            lane = self.route.lanes.get((topic or "", -1 if number is None else number))
            if lane is not None and not lane.adrift:
                records = cast("list[Record]", taken)  # the stubs allow what a consumer never gives
                dropped, letters = lane.take(records, self._matchers[lane.partition.topic], now)
                self.counters.filtered += dropped
                self._bury(lane, letters)
        self.changed = True

    def _by_lane(self, messages: Sequence[Message]) -> Iterable[tuple[tuple[str | None, int | None], list[Message]]]:
        """The messages of each lane in their order; with one topic, as most have, it need not be asked of each."""
        by_number: defaultdict[int | None, list[Message]] = defaultdict(list)
        by_place: defaultdict[tuple[str | None, int | None], list[Message]] = defaultdict(list)
        if len(self._sources) == 1:
            for message in messages:
                by_number[message.partition()].append(message)
            topic = messages[0].topic()
            return [((topic, number), taken) for number, taken in by_number.items()]
        for message in messages:
            by_place[message.topic(), message.partition()].append(message)
        return by_place.items()

    def _bury(self, lane: Lane, letters: list[DeadLetter]) -> None:
        if not letters:
            return

        def committed() -> None:
            for letter in letters:
                lane.settle_aside(letter)
            self.counters.dead_lettered += len(letters)
            self.changed = True

        self._services.bury(letters, committed)

    def _throttle(self) -> None:
        lanes = self.route.lanes.values()
        for lane in self.throttle.to_pause(lanes):
            self._pause(lane)
        for lane in self.throttle.to_resume(lanes):
            self.release(lane)

    def _pause(self, lane: Lane) -> None:
        if not lane.paused:
            lane.paused = True
            self.reader.pause(lane.partition)

    def _assigned(self, partitions: Sequence[Partition]) -> None:
        self.joined = True
        for partition in partitions:
            self.route.open_lane(partition)
        _log.info("assigned", subscription=self.subscription.id, lanes=[str(p) for p in partitions])

    def _revoked(self, partitions: Sequence[Partition]) -> None:
        """Commit what is settled, then forget the lanes: another member reads on from there."""
        positions = {}
        for partition in partitions:
            lane = self._forget(partition)
            if lane is not None and lane.ledger.watermark != UNREAD:
                positions[partition] = lane.ledger.watermark
        if positions and not self.closed:
            self.reader.commit(positions)
        _log.info("revoked", subscription=self.subscription.id, lanes=[str(p) for p in partitions])

    def _lost(self, partitions: Sequence[Partition]) -> None:
        """The partitions were somebody else's before we knew: a commit now could take their position back."""
        for partition in partitions:
            self._forget(partition)
        _log.warning("lost", subscription=self.subscription.id, lanes=[str(p) for p in partitions])

    def _forget(self, partition: Partition) -> Lane | None:
        self._drop_unread(partition)
        return self.route.close_lane(partition)

    def _drop_unread(self, partition: Partition) -> None:
        """What was read before the lane moved must not be taken after it."""
        place = (partition.topic, partition.number)
        self._unread = [m for m in self._unread if (m.topic(), m.partition()) != place]

    def _uncommitted(self, partitions: Sequence[Partition]) -> None:
        """The commit did not get there: the next one says it again."""
        for partition in partitions:
            lane = self.route.lanes.get((partition.topic, partition.number))
            if lane is not None:
                lane.committed = UNREAD

    def _failed(self, code: str, detail: str) -> None:
        _log.warning("kafka_error", subscription=self.subscription.id, code=code, detail=detail)

    def _unpositioned(self, partition: Partition) -> None:
        """Kafka has no position for the lane: ask in the background where it begins."""
        self._services.in_background(lambda: self._look_up(partition))

    def _look_up(self, partition: Partition) -> None:
        try:
            committed, first, end = self.reader.bounds(partition, ASK_TIMEOUT_S)
        except (KafkaException, RuntimeError) as error:  # RuntimeError: closed meanwhile
            if not self.closed:
                _log.warning(
                    "position_unknown", subscription=self.subscription.id, lane=str(partition), detail=str(error)
                )
                self._services.call_later(ASK_AGAIN_S, lambda: self._unpositioned(partition))
            return
        start = beginning(self._sources[partition.topic], partition.number, committed, first, end)
        self._services.call(lambda: self._begin(partition, start.offset, start.lost))

    def _begin(self, partition: Partition, offset: int, lost: int) -> None:
        lane = self.route.lanes.get((partition.topic, partition.number))
        if lane is None or self.closed:
            return
        if lost:
            self.become(Health.UNHEALTHY, "records_lost")
            _log.error("records_lost", subscription=self.subscription.id, lane=lane.key, count=lost, until=offset)
        if offset < lane.ledger.watermark:  # the topic was deleted and made again: what was settled is history
            self.release(lane)
            self._forget(partition)
            lane = self.route.open_lane(partition)
        lane.begin(offset)
        self.reread(lane, offset)


def _resumed(previous: Condition | None, now: float) -> tuple[Counters, Vitals]:
    """Go on where the last run of the subscription left its condition: only a delivery makes it healthy again."""
    if previous is None:
        return Counters(), Vitals(since=now)
    counters = Counters(
        delivered=previous.delivered,
        filtered=previous.filtered,
        dead_lettered=previous.dead_lettered,
        filter_errors=previous.filter_errors,
    )
    return counters, Vitals(health=previous.health, reason=previous.reason, since=previous.since)
