"""One subscription at work in this process: its consumer, its lanes, its counters and its health."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import cast

from confluent_kafka import KafkaException, Message

from webhookd import logs
from webhookd.edges.kafka_consumer import ConsumerCallbacks
from webhookd.flow.attempt.attempt_report import LoggedExchange
from webhookd.flow.batching.backpressure import ReadBackpressure
from webhookd.flow.batching.lane import CircuitState, Lane
from webhookd.flow.batching.lane import Message as Record
from webhookd.flow.dispatch.accumulator import BatchAccumulator
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
from workers.ingest.consumer.start_positions import RETRY_S, LaneOffset, StartPositions
from workers.ingest.consumer.undeliverable_records import UndeliverableRecords
from workers.ingest.ports import KafkaConsumer, Services

BUDGET_S = 0.02
"""How long one subscription's records may keep the loop from the others'."""

SLOW_RECORD_S = 0.1
SLOW_FILTER_PAUSE_FACTOR = 4.0
"""A subscription whose filters took SLOW_RECORD_S or longer on one record leaves the loop to the others for so many
times that: an expensive filter on large records must not take most of every second."""

FIRST_SLICE_SIZE = 32
LARGEST_SLICE_SIZE = 2048
"""Records between two looks at the clock; doubles while they are quick."""

IDLE_POLL_S = 0.2
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
        open_kafka_consumer: Callable[[ConsumerCallbacks], KafkaConsumer],
        previous: SubscriptionStatus | None,
    ) -> None:
        self.accumulator = accumulator
        self.subscription = accumulator.subscription
        self.health = subscription_health.resumed(
            self.subscription.id, self.subscription.version, previous, services.wall_clock()
        )
        self.counters = self.health.counters
        self.activity_rollup = ActivityRollup()
        self.backpressure = backpressure
        self.status_changed = True
        self.poll_at = 0.0
        self.closed = False
        self.broken = False
        self.joined = False
        self.kafka_unreachable = False
        self._unprocessed: list[Message] = []
        self._slice_size = FIRST_SLICE_SIZE
        self._matchers = matchers
        self._sources: dict[str, Source] = {source.topic: source for source in self.subscription.sources}
        self._filter_failures = FilterFailures(self, matchers)
        self._services = services
        self._active_at = services.monotonic()
        self.stall_check = StallCheck(self, services, max_retries=self.subscription.retry.max_retries)
        self._start_positions = StartPositions(self, self._sources, services, self.subscription.id)
        self._events = ConsumerEvents(self, services, self.subscription.id)
        self.undeliverable = UndeliverableRecords(self, services.dead_letters, services.monotonic)
        self.kafka_consumer = open_kafka_consumer(
            ConsumerCallbacks(
                assigned=self._on_assigned,
                revoked=self._on_revoked,
                lost=self._on_lost,
                position_required=self._start_positions.unpositioned,
                end_reached=self._events.end_reached,
                committed=self._events.committed,
                commit_failed=self._on_commit_failed,
                failed=self._events.kafka_error,
            )
        )

    def poll(self, now: float, pause_s: float) -> bool:
        """Read what has arrived into the lanes; answers whether there was anything."""
        lanes = self.accumulator.lanes
        if self.backpressure.skips(lanes.values(), now):
            self.poll_at = now + pause_s
            return False
        messages = self._unprocessed or self.kafka_consumer.poll()
        if messages:
            record_s = self._process_for_a_while(messages, now)
            self._active_at = now
            self.poll_at = (
                now if record_s < SLOW_RECORD_S else self._services.monotonic() + SLOW_FILTER_PAUSE_FACTOR * record_s
            )
        else:
            self.poll_at = now + min(IDLE_POLL_S, max(pause_s, (now - self._active_at) / 4))
        if not self._unprocessed:
            self._events.apply_ends()
        self._backpressure()
        return bool(messages)

    def _process_for_a_while(self, messages: list[Message], now: float) -> float:
        """Take what was read, in slices, and leave the rest for the next turn: filters may be slow.

        Returns how long the last slice took a record, in seconds.
        """
        record_s = 0.0
        self._unprocessed = messages
        clock = self._services.monotonic
        began = clock()
        until = began + BUDGET_S
        while self._unprocessed and began < until:
            part, self._unprocessed = self._unprocessed[: self._slice_size], self._unprocessed[self._slice_size :]
            self._process(part, now)
            ended = clock()
            record_s = (ended - began) / len(part)
            if ended - began > BUDGET_S / 2:
                self._slice_size = max(1, self._slice_size // 4)
            else:
                self._slice_size = min(LARGEST_SLICE_SIZE, self._slice_size * 2)
            began = ended
        return record_s

    def reposition(self, targets: Sequence[LaneOffset]) -> None:
        """Go to these offsets, where the lanes' watermarks are; a lane that is not ours any more stays as it is."""
        ours = {lane.partition: (lane, at) for lane, at in targets if at != UNREAD and self._owns(lane)}
        if not ours:
            return
        self._discard_unprocessed(ours)
        for lane, _ in ours.values():
            lane.adrift = True  # until it is there: what arrives when the target fails lies beyond a gap
        try:
            self.kafka_consumer.seek({partition: offset for partition, (_, offset) in ours.items()})
            for partition, (lane, _) in ours.items():
                lane.adrift = False
                if lane.paused:
                    self.kafka_consumer.pause(partition)
        except KafkaException as error:
            self._reposition_one_by_one(list(ours.values()), error)

    def _reposition_one_by_one(self, targets: Sequence[LaneOffset], error: KafkaException) -> None:
        """One partition that is not to be had refuses the others of its call as well; alone it is tried again."""
        if len(targets) > 1:
            for target in targets:
                self.reposition([target])
            return
        ((lane, _),) = targets
        _log.warning("reposition_failed", subscription=self.subscription.id, lane=lane.key, detail=str(error))
        # To where it is by then: it may have been sent back meanwhile.
        self._services.call_later(RETRY_S, lambda: self.reposition([(lane, lane.ledger.seen)]))

    def pause(self, lane: Lane) -> None:
        """Stop reading a lane whose delivery was exhausted."""
        if self._owns(lane):
            self._pause_lane(lane)

    def resume(self, lane: Lane) -> None:
        """Read again for a probe."""
        if lane.paused:
            lane.paused = False
            self.kafka_consumer.resume(lane.partition)

    def offsets_to_commit(self) -> dict[Partition, OffsetAndMetadata]:
        """What has to be committed since the last time."""
        moved = {}
        for lane in self.accumulator.lanes.values():
            mark = lane.mark
            if mark is not None and mark != lane.committed:
                moved[lane.partition] = lane.committed = mark
        return moved

    @property
    def has_open_circuit(self) -> bool:
        """Whether any lane waits for its probe, or for the probe's answer."""
        return any(lane.state is not CircuitState.CLOSED for lane in self.accumulator.lanes.values())

    def delivery_succeeded(self) -> None:
        """A delivery succeeded: what a delivery ends is over, unless a lane waits for its endpoint."""
        if not self.has_open_circuit:
            self.health.proven = True
            self._change_problems(Problems.delivered)

    def commit(self) -> None:
        """Ask Kafka to keep the watermarks that moved; one that does not get there is said again."""
        moved = self.offsets_to_commit()
        if not moved or self.broken:
            return
        try:
            self.kafka_consumer.commit(moved)
        except (KafkaException, RuntimeError) as error:
            _log.warning("commit_failed", subscription=self.subscription.id, detail=str(error))
            self._on_commit_failed(list(moved), "commit_failed", str(error))

    def begin_problem(self, code: str, detail: str = "", *, standing: bool = False) -> None:
        """A problem (flow/status/problem.py) began: unhealthy, shown in the status and in the activity."""
        problem = Problem(code=code, detail=detail, since=self._services.wall_clock(), standing=standing)
        self._change_problems(lambda problems: problems.begin(problem))

    def end_problem(self, code: str) -> None:
        """The standing problem with this code is over."""
        self._change_problems(lambda problems: problems.end(code))

    def _change_problems(self, act: Callable[[Problems], bool]) -> None:
        activity = self.health.change_problems(act, self._services.wall_clock())
        self.status_changed = True
        if activity is not None:
            self._services.add_activity(activity)
            state, reason = self.health.state, self.health.reason
            _log.info("health_changed", subscription=self.subscription.id, health=str(state), reason=reason)

    def exchange_failed(self, failure: LoggedExchange) -> None:
        """An exchange failed."""
        self.health.exchange_failed(failure)
        self.status_changed = True

    def update_topics(self, topics: Topics) -> None:
        """What the cluster says about the topics by now."""
        self.status_changed |= self.health.update_topics(topics, self._sources)
        self._events.update_topics(topics, self._sources)
        for lane in list(self.accumulator.lanes.values()):
            if lane.known and lane.partition.topic in topics.partitions:
                self._start_positions.check_topic(lane, topics)

    def check(self) -> None:
        """Once a second: what its deliveries do, what has lasted for too long, and how far behind it is."""
        self._filter_failures.check()
        lanes = self.accumulator.lanes.values()
        self.stall_check.check(lanes)
        self._events.refetch_failed()
        self.undeliverable.check()
        lag = None if self.kafka_unreachable else self._events.lag()
        self.status_changed |= lag != self.health.lag
        self.health.lag = lag

    def unfetched_partitions(self) -> list[Partition]:
        """The partitions of which nothing is fetched now, so that no fetch tells where they end."""
        return self._events.unfetched_partitions()

    def update_end_offsets(self, ends: Mapping[Partition, int]) -> None:
        """Where partitions end of which nothing is fetched; other subscriptions' are among them."""
        self._events.update_end_offsets(ends)

    def status(self) -> SubscriptionStatus:
        """What the status shows."""
        errors = [matcher for matcher in self._matchers.values() if matcher.errors]
        shown = self.health.status(self.accumulator.lanes.values())
        return replace(
            shown,
            filter_errors=shown.filter_errors + sum(matcher.errors for matcher in errors),
            last_filter_error=errors[-1].last_error if errors else "",
        )

    def close(self, *, commit: bool = True) -> None:
        """Commit and leave the group, in the background; nothing of its lanes is touched any more."""
        self.closed = True
        marks = {lane.partition: lane.mark for lane in self.accumulator.lanes.values() if commit}
        last = {partition: mark for partition, mark in marks.items() if mark is not None}
        self._services.close_in_background(lambda: self.kafka_consumer.close(last))

    # What its positions and its reading ask of it.

    def lane(self, partition: Partition) -> Lane | None:
        """The lane that is open for a partition."""
        return self.accumulator.lanes.get((partition.topic, partition.number))

    def open_lane(self, partition: Partition) -> Lane:
        """A new lane; the one that was there is forgotten, with what it has in flight."""
        old = self.lane(partition)
        if old is not None:
            self.resume(old)
            self._close_lanes([partition])
        return self.accumulator.open_lane(partition)

    def request_dispatch(self) -> None:
        """There may be something to dispatch now."""
        self._services.request_dispatch(self.subscription.id)

    def report_lost(self, lost: LostRange) -> None:
        """Kafka no longer holds these offsets: never a silent jump."""
        self.health.add_lost_range(lost)
        self.begin_problem("records_lost")
        self.status_changed = True
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

    def _process(self, messages: Sequence[Message], now: float) -> None:
        for (topic, number), taken in by_lane(messages, one_topic=len(self._sources) == 1):
            lane = self.accumulator.lanes.get((topic or "", -1 if number is None else number))
            if lane is None:
                continue
            records = cast("list[Record]", taken)  # the stubs allow what a consumer never gives
            if not lane.adrift:
                dropped, dead_letters = lane.take(records, self._matchers[lane.partition.topic], now)
                self.counters.filtered += dropped
                self.undeliverable.dead_letter(lane, dead_letters)
                self._filter_failures.add_records(lane.partition.topic, len(records))
            self._events.records_read(lane.partition)
            if lane.run.ahead is not None and lane.look_ahead(records, self._matchers[lane.partition.topic]):
                self.reposition([(lane, lane.ledger.seen)])
        self.status_changed = True

    def _backpressure(self) -> None:
        lanes = self.accumulator.lanes.values()
        for lane in self.backpressure.to_pause(lanes):
            self._pause_lane(lane)
        for lane in self.backpressure.to_resume(lanes):
            self.resume(lane)

    def _pause_lane(self, lane: Lane) -> None:
        if not lane.paused:
            lane.paused = True
            self.kafka_consumer.pause(lane.partition)

    def _on_assigned(self, partitions: Sequence[Partition]) -> None:
        self.joined = True
        self._events.assigned()
        self._start_positions.assigned(partitions)
        _log.info("assigned", subscription=self.subscription.id, lanes=[str(p) for p in partitions])

    def _on_revoked(self, partitions: Sequence[Partition]) -> None:
        """Commit what is settled, then forget the lanes: another member reads on from there.

        The commit is asked for before the partitions are given back, on the same connection to the coordinator, so it
        arrives before whoever comes next can begin; nobody waits for it.
        """
        marks = {}
        for lane in self._close_lanes(partitions):
            mark = lane.mark
            if mark is not None:
                marks[lane.partition] = mark
        if marks and not self.closed:
            self.kafka_consumer.commit(marks)
        _log.info("revoked", subscription=self.subscription.id, lanes=[str(p) for p in partitions])

    def _on_lost(self, partitions: Sequence[Partition]) -> None:
        """The partitions were somebody else's before we knew: a commit now could take their position back."""
        self._close_lanes(partitions)
        _log.warning("lost", subscription=self.subscription.id, lanes=[str(p) for p in partitions])

    def _close_lanes(self, partitions: Collection[Partition]) -> list[Lane]:
        """Close these lanes; answers those that were open."""
        self._discard_unprocessed(partitions)
        for partition in partitions:
            self._events.forget(partition)
        closed = [self.accumulator.close_lane(partition) for partition in partitions]
        return [lane for lane in closed if lane is not None]

    def _discard_unprocessed(self, partitions: Collection[Partition]) -> None:
        """What was read before these lanes moved must not be taken after it."""
        for partition in partitions:
            self._events.repositioned(partition)
        if self._unprocessed:
            places = {(partition.topic, partition.number) for partition in partitions}
            self._unprocessed = [m for m in self._unprocessed if (m.topic(), m.partition()) not in places]

    def _on_commit_failed(self, partitions: Sequence[Partition], name: str, text: str) -> None:
        self._events.commit_failed(partitions, name, text)
        self._commit_again(partitions)

    def _commit_again(self, partitions: Sequence[Partition]) -> None:
        """The commit did not get there: the next one says it again, when the topic is known to be there still."""
        for partition in partitions:
            lane = self.accumulator.lanes.get((partition.topic, partition.number))
            if lane is not None:
                lane.committed = None
                lane.confirmed = False
