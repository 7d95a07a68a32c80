"""One subscription at work in this process: its consumer, its lanes, its counters and its health."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, cast

from confluent_kafka import KafkaException, Message

from webhookd import logs
from webhookd.clock import Monotonic, WallClock
from webhookd.edges.kafka_reader import Listener
from webhookd.flow.activity_fold import ActivityFold
from webhookd.flow.condition import Condition, Health, TopicCondition
from webhookd.flow.dead_letter import DeadLetter
from webhookd.flow.filters.matcher import Matcher
from webhookd.flow.lane import Lane
from webhookd.flow.lane import Message as Record
from webhookd.flow.ledger import UNREAD
from webhookd.flow.position import Partition
from webhookd.flow.route import Route
from webhookd.flow.start import beginning
from webhookd.flow.subscription import Source
from webhookd.flow.throttle import Throttle

ASK_TIMEOUT_S = 5.0
ASK_AGAIN_S = 1.0
LONGEST_QUIET_S = 0.2
"""A consumer that has long been idle is looked at so often; its first record is at most so late."""

_log = logs.get(__name__)


class Services(Protocol):
    """What an intake asks of the process around it."""

    monotonic: Monotonic
    wall_clock: WallClock

    def call(self, action: Callable[[], None]) -> None:
        """Run on the ingest loop's thread; from any thread."""

    def call_later(self, delay_s: float, action: Callable[[], None]) -> None:
        """Run on the ingest loop's thread after a while; from any thread."""

    def in_background(self, action: Callable[[], None]) -> None:
        """Run on a thread that may block."""

    def bury(self, letters: list[DeadLetter], committed: Callable[[], None]) -> None:
        """Put records aside; `committed` runs on the ingest loop's thread."""


class Reader(Protocol):
    """A member of the subscription's consumer group, as edges.kafka_reader has it."""

    def poll(self) -> list[Message]:
        """What has arrived; returns at once. Raises KafkaException when the consumer is beyond use."""

    def reposition(self, partition: Partition, offset: int) -> None:
        """Read on from exactly `offset`."""

    def pause(self, partition: Partition) -> None:
        """Stop fetching."""

    def resume(self, partition: Partition) -> None:
        """Fetch again."""

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Ask for a commit and return."""

    def bounds(self, partition: Partition, timeout_s: float) -> tuple[int | None, int, int]:
        """The committed offset, the first and the end offset. Blocks; any thread."""

    def close(self, offsets: Mapping[Partition, int]) -> None:
        """Commit a last time and leave the group. Blocks."""


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
        self.joined = False
        self._matchers = matchers
        self._sources: dict[str, Source] = {source.topic: source for source in self.subscription.sources}
        self._services = services
        self._active_at = services.monotonic()
        self.reader = open_reader(
            Listener(
                assigned=self._assigned,
                revoked=self._lost,
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
        messages = self.reader.poll()
        if messages:
            self._take(messages, now)
            self._active_at = now
            self.poll_at = now
        else:
            self.poll_at = now + min(LONGEST_QUIET_S, max(pause_s, (now - self._active_at) / 4))
        self._throttle()
        return bool(messages)

    def reread(self, lane: Lane, offset: int) -> None:
        """Go back to `offset`, where the lane's watermark is; a lane that is not ours any more stays as it is."""
        if offset == UNREAD or not self._owns(lane):
            return
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
        by_lane: dict[tuple[str | None, int | None], list[Message]] = {}
        for message in messages:
            place = (message.topic(), message.partition())
            if place in by_lane:
                by_lane[place].append(message)
            else:
                by_lane[place] = [message]
        for (topic, number), taken in by_lane.items():
            lane = self.route.lanes.get((topic or "", -1 if number is None else number))
            if lane is not None and not lane.adrift:
                records = cast("list[Record]", taken)  # the stubs allow what a consumer never gives
                dropped, letters = lane.take(records, self._matchers[lane.partition.topic], now)
                self.counters.filtered += dropped
                self._bury(lane, letters)
        self.changed = True

    def _bury(self, lane: Lane, letters: list[DeadLetter]) -> None:
        if not letters:
            return
        epoch_ledger = lane.ledger

        def committed() -> None:
            for letter in letters:
                epoch_ledger.settle_aside(letter.offset)
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

    def _lost(self, partitions: Sequence[Partition]) -> None:
        """Commit what is settled, then forget the lanes: another member reads on from there."""
        positions = {}
        for partition in partitions:
            lane = self.route.close_lane(partition)
            if lane is not None and lane.ledger.watermark != UNREAD:
                positions[partition] = lane.ledger.watermark
        if positions and not self.closed:
            self.reader.commit(positions)
        _log.info("revoked", subscription=self.subscription.id, lanes=[str(p) for p in partitions])

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
            self.route.close_lane(partition)
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
