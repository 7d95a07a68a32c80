"""One subscription at work in this process: its consumer, its lanes, its counters and its health."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import cast

from confluent_kafka import KafkaException, Message

from webhookd import logs
from webhookd.edges.kafka_consumer import ConsumerCallbacks
from webhookd.flow.attempt.attempt_report import LoggedExchange
from webhookd.flow.batching.backpressure import ReadBackpressure
from webhookd.flow.batching.circuit_breaker import CircuitState
from webhookd.flow.batching.message import Message as Record
from webhookd.flow.dispatch.accumulator import BatchAccumulator
from webhookd.flow.dispatch.delivery import Lane
from webhookd.flow.filters.matcher import Matcher
from webhookd.flow.offsets.ledger import UNREAD
from webhookd.flow.offsets.position import OffsetAndMetadata, Partition
from webhookd.flow.offsets.topic_metadata import Topics
from webhookd.flow.status.activity_rollup import ActivityRollup
from webhookd.flow.status.problem import Problem, Problems
from webhookd.flow.status.subscription_status import LostRange, SubscriptionStatus
from webhookd.flow.subscription import Source
from workers.ingest.consumer import subscription_health
from workers.ingest.consumer.consumer_events import ConsumerEvents
from workers.ingest.consumer.filter_failures import FilterFailures
from workers.ingest.consumer.messages_by_lane import by_lane
from workers.ingest.consumer.stall_check import StallCheck
from workers.ingest.consumer.start_positions import ASK_AGAIN_S, Move, StartPositions
from workers.ingest.consumer.undeliverable_records import UndeliverableRecords
from workers.ingest.ports import Consumer, Services

TURN_S = 0.02
"""How long one subscription's records may keep the loop from the others'."""

SLOW_RECORD_S = 0.1
OTHERS_TIMES = 4.0
"""A subscription whose filters took SLOW_RECORD_S or longer on one record leaves the loop to the others for so many
times that: an expensive filter on large records must not take most of every second."""

FIRST_SLICE = 32
MOST_IN_A_SLICE = 2048
"""Records between two looks at the clock; doubles while they are quick."""

LONGEST_QUIET_S = 0.2
"""A consumer that has long been idle is looked at so often; its first record is at most so late."""

_log = logs.get(__name__)


class SubscriptionConsumer:
    """Owned by the ingest loop's thread; made and polled there."""

    def __init__(
        self,
        accumulator: BatchAccumulator,
        matchers: Mapping[str, Matcher],
        backpressure: ReadBackpressure,
        services: Services,
        open_reader: Callable[[ConsumerCallbacks], Consumer],
        previous: SubscriptionStatus | None,
    ) -> None:
        self.accumulator = accumulator
        self.subscription = accumulator.subscription
        self.vitals = subscription_health.resumed(
            self.subscription.id, self.subscription.version, previous, services.wall_clock()
        )
        self.counters = self.vitals.counters
        self.fold = ActivityRollup()
        self.backpressure = backpressure
        self.changed = True
        self.poll_at = 0.0
        self.closed = False
        self.broken = False
        self.joined = False
        self.kafka_silent = False
        self._unread: list[Message] = []
        self._slice = FIRST_SLICE
        self._matchers = matchers
        self._sources: dict[str, Source] = {source.topic: source for source in self.subscription.sources}
        self._filters = FilterFailures(self, matchers)
        self._services = services
        self._active_at = services.monotonic()
        self.stall_check = StallCheck(self, services, max_retries=self.subscription.retry.max_retries)
        self._positions = StartPositions(self, self._sources, services, self.subscription.id)
        self._reading = ConsumerEvents(self, services, self.subscription.id)
        self.aside = UndeliverableRecords(self, services.dead_letters, services.monotonic)
        self.reader = open_reader(
            ConsumerCallbacks(
                assigned=self._assigned,
                revoked=self._revoked,
                lost=self._unassigned,
                unpositioned=self._positions.unpositioned,
                reached=self._reading.reached,
                committed=self._reading.committed,
                uncommitted=self._uncommitted,
                failed=self._reading.failed,
            )
        )

    def poll(self, now: float, pause_s: float) -> bool:
        """Read what has arrived into the lanes; answers whether there was anything."""
        lanes = self.accumulator.lanes
        if self.backpressure.skips(lanes.values(), now):
            self.poll_at = now + pause_s
            return False
        messages = self._unread or self.reader.poll()
        if messages:
            record_s = self._take_for_a_while(messages, now)
            self._active_at = now
            self.poll_at = now if record_s < SLOW_RECORD_S else self._services.monotonic() + OTHERS_TIMES * record_s
        else:
            self.poll_at = now + min(LONGEST_QUIET_S, max(pause_s, (now - self._active_at) / 4))
        if not self._unread:
            self._reading.settle()
        self._backpressure()
        return bool(messages)

    def _take_for_a_while(self, messages: list[Message], now: float) -> float:
        """Take what was read, in slices, and leave the rest for the next turn: filters may be slow.

        Returns how long the last slice took a record, in seconds.
        """
        record_s = 0.0
        self._unread = messages
        clock = self._services.monotonic
        began = clock()
        until = began + TURN_S
        while self._unread and began < until:
            part, self._unread = self._unread[: self._slice], self._unread[self._slice :]
            self._take(part, now)
            ended = clock()
            record_s = (ended - began) / len(part)
            if ended - began > TURN_S / 2:
                self._slice = max(1, self._slice // 4)
            else:
                self._slice = min(MOST_IN_A_SLICE, self._slice * 2)
            began = ended
        return record_s

    def reread(self, moves: Sequence[Move]) -> None:
        """Go to these offsets, where the lanes' watermarks are; a lane that is not ours any more stays as it is."""
        ours = {lane.partition: (lane, at) for lane, at in moves if at != UNREAD and self._owns(lane)}
        if not ours:
            return
        self._drop_unread(ours)
        for lane, _ in ours.values():
            lane.awaiting_seek = True  # until it is there: what arrives when the move fails lies beyond a gap
        try:
            self.reader.reposition({partition: offset for partition, (_, offset) in ours.items()})
            for partition, (lane, _) in ours.items():
                lane.awaiting_seek = False
                if lane.paused:
                    self.reader.pause(partition)
        except KafkaException as error:
            self._reread_apart(list(ours.values()), error)

    def _reread_apart(self, moves: Sequence[Move], error: KafkaException) -> None:
        """One partition that is not to be had refuses the others of its call as well; alone it is tried again."""
        if len(moves) > 1:
            for move in moves:
                self.reread([move])
            return
        ((lane, _),) = moves
        _log.warning("reposition_failed", subscription=self.subscription.id, lane=lane.name, detail=str(error))
        # To where it is by then: it may have been sent back meanwhile.
        self._services.call_later(ASK_AGAIN_S, lambda: self.reread([(lane, lane.ledger.position)]))

    def hold(self, lane: Lane) -> None:
        """Stop reading a lane whose delivery was exhausted."""
        if self._owns(lane):
            self._pause(lane)

    def release(self, lane: Lane) -> None:
        """Read again for a probe."""
        if lane.paused:
            lane.paused = False
            self.reader.resume(lane.partition)

    def marks(self) -> dict[Partition, OffsetAndMetadata]:
        """What has to be committed since the last time."""
        moved = {}
        for lane in self.accumulator.lanes.values():
            mark = lane.committable
            if mark is not None and mark != lane.committed:
                moved[lane.partition] = lane.committed = mark
        return moved

    @property
    def holds(self) -> bool:
        """Whether any lane waits for its probe, or for the probe's answer."""
        return any(lane.circuit.state is not CircuitState.CLOSED for lane in self.accumulator.lanes.values())

    def delivered(self) -> None:
        """A delivery succeeded: what a delivery ends is over, unless a lane waits for its endpoint."""
        if not self.holds:
            self.vitals.proven = True
            self._change(Problems.delivered)

    def commit(self) -> None:
        """Ask Kafka to keep the watermarks that moved; one that does not get there is said again."""
        moved = self.marks()
        if not moved or self.broken:
            return
        try:
            self.reader.commit(moved)
        except (KafkaException, RuntimeError) as error:
            _log.warning("commit_failed", subscription=self.subscription.id, detail=str(error))
            self._uncommitted(list(moved), "commit_failed", str(error))

    def suffer(self, code: str, detail: str = "", *, standing: bool = False) -> None:
        """A problem (flow/status/problem.py) began: unhealthy, shown in the status and in the activity."""
        problem = Problem(code=code, detail=detail, since=self._services.wall_clock(), standing=standing)
        self._change(lambda problems: problems.begin(problem))

    def overcome(self, code: str) -> None:
        """The standing problem with this code is over."""
        self._change(lambda problems: problems.end(code))

    def _change(self, act: Callable[[Problems], bool]) -> None:
        activity = self.vitals.change(act, self._services.wall_clock())
        self.changed = True
        if activity is not None:
            self._services.happened(activity)
            health, reason = self.vitals.health, self.vitals.reason
            _log.info("health_changed", subscription=self.subscription.id, health=str(health), reason=reason)

    def failed(self, failure: LoggedExchange) -> None:
        """An exchange failed."""
        self.vitals.failed(failure)
        self.changed = True

    def saw_topics(self, topics: Topics) -> None:
        """What the cluster says about the topics by now."""
        self.changed |= self.vitals.saw_topics(topics, self._sources)
        self._reading.saw(topics, self._sources)
        for lane in list(self.accumulator.lanes.values()):
            if lane.position_known and lane.partition.topic in topics.partitions:
                self._positions.confirm(lane, topics)

    def look_after(self) -> None:
        """Once a second: what its deliveries do, what has lasted for too long, and how far behind it is."""
        self._filters.look_after()
        lanes = self.accumulator.lanes.values()
        self.stall_check.look(lanes)
        self._reading.probe()
        self.aside.look_after()
        lag = None if self.kafka_silent else self._reading.lag()
        self.changed |= lag != self.vitals.lag
        self.vitals.lag = lag

    def unfetched(self) -> list[Partition]:
        """The partitions of which nothing is fetched now, so that no fetch tells where they end."""
        return self._reading.unfetched()

    def saw_ends(self, ends: Mapping[Partition, int]) -> None:
        """Where partitions end of which nothing is fetched; other subscriptions' are among them."""
        self._reading.ends(ends)

    def status(self) -> SubscriptionStatus:
        """What the status shows."""
        errors = [matcher for matcher in self._matchers.values() if matcher.errors]
        shown = self.vitals.status(self.accumulator.lanes.values())
        return replace(
            shown,
            filter_errors=shown.filter_errors + sum(matcher.errors for matcher in errors),
            last_filter_error=errors[-1].last_error if errors else "",
        )

    def close(self, *, commit: bool = True) -> None:
        """Commit and leave the group, in the background; nothing of its lanes is touched any more."""
        self.closed = True
        marks = {lane.partition: lane.committable for lane in self.accumulator.lanes.values() if commit}
        last = {partition: mark for partition, mark in marks.items() if mark is not None}
        self._services.close_in_background(lambda: self.reader.close(last))

    # What its positions and its reading ask of it.

    def lane(self, partition: Partition) -> Lane | None:
        """The lane that is open for a partition."""
        return self.accumulator.lanes.get((partition.topic, partition.number))

    def open(self, partition: Partition) -> Lane:
        """A new lane; the one that was there is forgotten, with what it has in flight."""
        old = self.lane(partition)
        if old is not None:
            self.release(old)
            self._forget([partition])
        return self.accumulator.open_lane(partition)

    def dispatch(self) -> None:
        """There may be something to dispatch now."""
        self._services.touch(self.subscription.id)

    def lost(self, lost: LostRange) -> None:
        """Kafka no longer holds these offsets: never a silent jump."""
        self.vitals.lost(lost)
        self.suffer("records_lost")
        self.changed = True
        _log.error(
            "records_lost",
            code="records_lost",
            subscription=self.subscription.id,
            lane=f"{lost.topic}/{lost.partition}",
            first=lost.first,
            end=lost.end,
            count=lost.count,
        )

    def _owns(self, lane: Lane) -> bool:
        return not self.closed and self.lane(lane.partition) is lane

    def _take(self, messages: Sequence[Message], now: float) -> None:
        for (topic, number), taken in by_lane(messages, one_topic=len(self._sources) == 1):
            lane = self.accumulator.lanes.get((topic or "", -1 if number is None else number))
            if lane is None:
                continue
            records = cast("list[Record]", taken)  # the stubs allow what a consumer never gives
            if not lane.awaiting_seek:
                dropped, dead_letters = lane.take(records, self._matchers[lane.partition.topic], now)
                self.counters.filtered += dropped
                self.aside.put(lane, dead_letters)
                self._filters.took(lane.partition.topic, len(records))
            self._reading.read(lane.partition)
            if lane.undecodable_run.lookahead_offset is not None and lane.look_ahead(
                records, self._matchers[lane.partition.topic]
            ):
                self.reread([(lane, lane.ledger.position)])
        self.changed = True

    def _backpressure(self) -> None:
        lanes = self.accumulator.lanes.values()
        for lane in self.backpressure.to_pause(lanes):
            self._pause(lane)
        for lane in self.backpressure.to_resume(lanes):
            self.release(lane)

    def _pause(self, lane: Lane) -> None:
        if not lane.paused:
            lane.paused = True
            self.reader.pause(lane.partition)

    def _assigned(self, partitions: Sequence[Partition]) -> None:
        self.joined = True
        self._reading.assigned()
        self._positions.assigned(partitions)
        _log.info("assigned", subscription=self.subscription.id, lanes=[str(p) for p in partitions])

    def _revoked(self, partitions: Sequence[Partition]) -> None:
        """Commit what is settled, then forget the lanes: another member reads on from there.

        The commit is asked for before the partitions are given back, on the same connection to the coordinator, so it
        arrives before whoever comes next can begin; nobody waits for it.
        """
        marks = {}
        for lane in self._forget(partitions):
            mark = lane.committable
            if mark is not None:
                marks[lane.partition] = mark
        if marks and not self.closed:
            self.reader.commit(marks)
        _log.info("revoked", subscription=self.subscription.id, lanes=[str(p) for p in partitions])

    def _unassigned(self, partitions: Sequence[Partition]) -> None:
        """The partitions were somebody else's before we knew: a commit now could take their position back."""
        self._forget(partitions)
        _log.warning("lost", subscription=self.subscription.id, lanes=[str(p) for p in partitions])

    def _forget(self, partitions: Collection[Partition]) -> list[Lane]:
        """Close these lanes; answers those that were open."""
        self._drop_unread(partitions)
        for partition in partitions:
            self._reading.forget(partition)
        closed = [self.accumulator.close_lane(partition) for partition in partitions]
        return [lane for lane in closed if lane is not None]

    def _drop_unread(self, partitions: Collection[Partition]) -> None:
        """What was read before these lanes moved must not be taken after it."""
        for partition in partitions:
            self._reading.moved(partition)
        if self._unread:
            places = {(partition.topic, partition.number) for partition in partitions}
            self._unread = [m for m in self._unread if (m.topic(), m.partition()) not in places]

    def _uncommitted(self, partitions: Sequence[Partition], name: str, text: str) -> None:
        self._reading.uncommitted(partitions, name, text)
        self._commit_again(partitions)

    def _commit_again(self, partitions: Sequence[Partition]) -> None:
        """The commit did not get there: the next one says it again, when the topic is known to be there still."""
        for partition in partitions:
            lane = self.accumulator.lanes.get((partition.topic, partition.number))
            if lane is not None:
                lane.committed = None
                lane.topic_confirmed = False
