"""One subscription that runs in this process: its Kafka consumer, lanes, counters and health.

part                    does
KafkaConsumer           is the member of the consumer group (ports.py); calls back about assignments, ends and errors
BatchAccumulator        holds the open lanes, and decides which deliveries leave (flow/dispatch/accumulator.py)
MessageProcessor        takes fetched messages into the lanes
FollowingLanes          lets lanes that have caught up follow the shared reader
StartPositions          asks Kafka where lanes begin to read
OffsetCommits           commits what is settled
ConsumerEvents          keeps Kafka's errors and the ends of partitions; computes the lag
UndeliverableRecords    dead-letters records that cannot be delivered
StallCheck              detects stalls
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from confluent_kafka import KafkaException

from webhookd import logs
from webhookd.edges.kafka_consumer import ConsumerCallbacks
from webhookd.flow.attempt.attempt_report import LoggedExchange
from webhookd.flow.attempt.endpoint_certificate import Validity
from webhookd.flow.authorization.topic_matcher import TopicMatcher
from webhookd.flow.batching.backpressure import ReadBackpressure
from webhookd.flow.batching.circuit_breaker import CircuitState
from webhookd.flow.dispatch.accumulator import BatchAccumulator
from webhookd.flow.dispatch.delivery import Lane
from webhookd.flow.dispatch.endpoint_verification import EndpointVerification
from webhookd.flow.offsets.position import UNREAD, Partition
from webhookd.flow.offsets.topic_metadata import Topics
from webhookd.flow.settlement.exhausted_batch import WORKER_LOST
from webhookd.flow.status.activity_rollup import ActivityRollup
from webhookd.flow.status.endpoint_certificate import certificate_of
from webhookd.flow.status.problem import Problem, Problems
from webhookd.flow.status.subscription_status import LostRange, SubscriptionStatus
from webhookd.flow.subscription import Source
from webhookd.metrics.catalogue.ingest import REBALANCES
from workers.ingest.consumer import subscription_health
from workers.ingest.consumer.consumer_events import ConsumerEvents
from workers.ingest.consumer.filter_failures import FilterFailures
from workers.ingest.consumer.following_lanes import FollowingLanes
from workers.ingest.consumer.message_processor import MessageProcessor
from workers.ingest.consumer.offset_commits import OffsetCommits, latest
from workers.ingest.consumer.stall_check import StallCheck
from workers.ingest.consumer.start_positions import RETRY_S, LaneOffset, StartPositions
from workers.ingest.consumer.undeliverable_records import UndeliverableRecords
from workers.ingest.ports import KafkaConsumer, Services

RECORDS_LOST = "records_lost"
"""Kafka had deleted records before they could be read."""

SLOW_RECORD_S = 0.1
SLOW_FILTER_PAUSE_FACTOR = 4.0
"""If the filters of a subscription take SLOW_RECORD_S or longer for a record, it is not polled for this factor times
that time: an expensive filter on large records must not take most of the loop's time."""

IDLE_POLL_S = 0.2
"""The longest time between two polls of an idle consumer, and so the longest delay of its first record."""

FOLLOWING_POLL_S = 1.0
"""The time between two polls of a consumer that fetches nothing, because all its lanes follow the shared reader. Only
then it calls back about assignments and commits."""

_log = logs.get(__name__)


class SubscriptionConsumer:
    """Owned by the ingest loop's thread, which creates and polls it.

    Its health continues from the status `previous`. When it is `broken`, it is not polled any more and does not commit.
    """

    def __init__(
        self,
        accumulator: BatchAccumulator,
        matchers: Mapping[str, TopicMatcher],
        backpressure: ReadBackpressure,
        services: Services,
        open_kafka_consumer: Callable[[ConsumerCallbacks], KafkaConsumer],
        previous: SubscriptionStatus | None,
    ) -> None:
        self.accumulator = accumulator
        self.subscription = accumulator.subscription
        id_ = self.subscription.id
        self.health = subscription_health.resumed(
            id_, self.subscription.version, previous, services.wall_clock(), url=self.subscription.destination.url
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
        self.verification: EndpointVerification | None = None
        """Set by the consumer's maker, if the endpoint must still show that it wants the requests."""
        self._matchers = matchers
        self._sources: dict[str, Source] = {source.topic: source for source in self.subscription.sources}
        self._services = services
        self._active_at = services.monotonic()
        self.stall_check = StallCheck(
            self, services, max_retries=self.subscription.retry.max_retries, limited_by=accumulator.pace.why_held
        )
        self.undeliverable = UndeliverableRecords(self, services.dead_letters, services.monotonic)
        self._filter_failures = FilterFailures(self, matchers)
        self._start_positions = StartPositions(self, self._sources, services, id_)
        self._events = ConsumerEvents(self, services, id_)
        self._processor = MessageProcessor(self, matchers, self._events, self._filter_failures, services.monotonic)
        self.commits = OffsetCommits(self, self._events, services, id_)
        self.following = FollowingLanes(
            self, services, matchers, self._filter_failures, self._start_positions.unpositioned
        )
        self.kafka_consumer = open_kafka_consumer(self._callbacks())

    def _callbacks(self) -> ConsumerCallbacks:
        return ConsumerCallbacks(
            assigned=self._on_assigned,
            revoked=self._on_revoked,
            lost=self._on_lost,
            position_required=self._start_positions.unpositioned,
            end_reached=self._events.end_reached,
            committed=self._events.committed,
            commit_failed=self.commits.failed,
            failed=self._events.kafka_error,
        )

    def poll(self, now: float, pause_s: float) -> bool:
        """Take fetched messages into the lanes and set `poll_at`; returns whether there were any."""
        if self.backpressure.skips(self.accumulator.lanes.values(), now):
            self.poll_at = now + pause_s
            return False
        messages = self._processor.waiting or self.kafka_consumer.poll()
        if messages:
            record_s = self._processor.process(messages, now)
            self._active_at = self.poll_at = now
            if record_s >= SLOW_RECORD_S:
                self.poll_at = self._services.monotonic() + SLOW_FILTER_PAUSE_FACTOR * record_s
        else:
            self.poll_at = now + min(IDLE_POLL_S, max(pause_s, (now - self._active_at) / 4))
        if not self._processor.waiting:
            self._events.apply_ends()
            self.following.begin(now)
            if self.following.all_follow:
                self.poll_at = now + FOLLOWING_POLL_S
        self.apply_backpressure(polled=True)
        return bool(messages)

    @property
    def may_follow(self) -> bool:
        """Whether its lanes may follow the shared reader: it runs, and its endpoint wants the requests."""
        return not (self.closed or self.broken) and self.verification is None

    def seek(self, targets: Sequence[LaneOffset]) -> None:
        """Seek to these offsets, at which the lanes continue with this consumer; closed lanes are left out."""
        for lane, _ in targets:
            self.following.leave(lane)
        ours = {lane.partition: (lane, at) for lane, at in targets if at != UNREAD and self._owns(lane)}
        if not ours:
            return
        self._discard_messages(ours)
        for lane, _ in ours.values():
            lane.awaiting_seek = True  # until the call succeeds: messages that arrive before would leave a gap
        try:
            self.kafka_consumer.seek({partition: offset for partition, (_, offset) in ours.items()})
            for partition, (lane, _) in ours.items():
                lane.awaiting_seek = False
                if lane.paused:
                    self.kafka_consumer.pause(partition)
                else:
                    self.following.resume_own(partition)
        except KafkaException as error:
            self._seek_one_by_one(list(ours.values()), error)

    def _seek_one_by_one(self, targets: Sequence[LaneOffset], error: KafkaException) -> None:
        """Seek each partition in a call of its own, and retry the one that fails later.

        A call in which Kafka refuses one partition moves none of them.
        """
        if len(targets) > 1:
            for target in targets:
                self.seek([target])
            return
        ((lane, _),) = targets
        _log.warning("seek_failed", subscription=self.subscription.id, lane=lane.name, detail=str(error))
        # The lane's position may have changed by then.
        self._services.call_later(RETRY_S, lambda: self.seek([(lane, lane.ledger.position)]))

    def pause(self, lane: Lane) -> None:
        """Stop fetching for a lane whose delivery was exhausted."""
        if self._owns(lane):
            self._pause_lane(lane)

    def resume(self, lane: Lane) -> None:
        """Fetch again: a probe is due, or the lane has room again."""
        if lane.paused:
            lane.paused = False
            self.kafka_consumer.resume(lane.partition)

    @property
    def has_open_circuit(self) -> bool:
        """Whether the circuit of any lane is open or half open."""
        return any(lane.circuit.state is not CircuitState.CLOSED for lane in self.accumulator.lanes.values())

    def delivery_succeeded(self) -> None:
        """End the problems that a delivery ends, unless the circuit of another lane is still open."""
        if not self.has_open_circuit:
            self.health.version_delivered = True
            self._change_problems(Problems.delivered)

    def end_resumed_delivery_problem(self) -> None:
        """End the delivery problem of the process before if no lane fails; call it when all lanes know their positions.

        The process before may have delivered, and committed that, after its status was read here. A lane that fails
        says so in its commit metadata; lost workers and lost records need a delivery to be over.
        """
        lanes = self.accumulator.lanes.values()
        failing = any(lane.failing or lane.circuit.failing_since for lane in lanes)
        if not failing and self.health.problems.delivery_code not in {"", WORKER_LOST, RECORDS_LOST}:
            self._change_problems(Problems.delivered)

    def begin_problem(self, code: str, detail: str = "", *, standing: bool = False) -> None:
        """Begin a problem (flow/status/problem.py), which the status shows; log a change of health or reason."""
        problem = Problem(code=code, detail=detail, since=self._services.wall_clock(), standing=standing)
        self._change_problems(lambda problems: problems.begin(problem))

    def end_problem(self, code: str) -> None:
        """End the standing problem with this code."""
        self._change_problems(lambda problems: problems.end(code))

    def _change_problems(self, change: Callable[[Problems], bool]) -> None:
        activity = self.health.change_problems(change, self._services.wall_clock())
        self.status_changed = True
        if activity is not None:
            self._services.add_activity(activity)
            state, reason = self.health.state, self.health.reason
            _log.info("health_changed", subscription=self.subscription.id, health=str(state), reason=reason)

    def exchange_failed(self, failure: LoggedExchange) -> None:
        """Show a failed HTTP exchange in the status."""
        self.health.exchange_failed(failure)
        self.status_changed = True

    def certificate_seen(self, validity: Validity) -> None:
        """Show in the status when the endpoint's certificate expires, as a worker has reported it."""
        before = self.health.endpoint_certificate
        seen = certificate_of(self.subscription.destination.url, validity, self._services.wall_clock())
        self.health.endpoint_certificate = seen
        self.status_changed = True
        if seen is not None and (before is None or before.expires_at != seen.expires_at):
            id_ = self.subscription.id
            _log.info("endpoint_certificate_seen", subscription=id_, host=seen.host, expires_at=seen.expires_at)

    def update_topics(self, topics: Topics) -> None:
        """Compare the lanes with the latest topic metadata."""
        self.status_changed |= self.health.update_topics(topics, self._sources)
        self._events.update_topics(topics, self._sources)
        for lane in list(self.accumulator.lanes.values()):
            if lane.position_known and lane.partition.topic in topics.partitions:
                self._start_positions.check_topic(lane, topics)

    def check(self) -> None:
        """Once a second: update the state of the deliveries and the lag, and begin and end problems."""
        self.following.count()
        self._filter_failures.check()
        self.stall_check.check(self.accumulator.lanes.values())
        self._events.refetch_failed()
        self.undeliverable.check()
        lag = None if self.kafka_unreachable else self._events.lag()
        self.status_changed |= lag != self.health.lag
        self.health.lag = lag

    def last_fetched_end(self, partition: Partition) -> int | None:
        """The end offset that the last fetch of a partition has returned, by whichever client reads it."""
        lane = self.lane(partition)
        return self.following.end_offset(lane) if lane is not None else None

    def unfetched_partitions(self) -> list[Partition]:
        """The partitions that are not fetched now, so that no fetch returns their end offsets."""
        return self._events.unfetched_partitions()

    def update_end_offsets(self, ends: Mapping[Partition, int]) -> None:
        """Store the end offsets of unfetched partitions; partitions of other subscriptions are among them."""
        self._events.update_end_offsets(ends)

    def status(self) -> SubscriptionStatus:
        """The status as it is shown."""
        errors = [matcher for matcher in self._matchers.values() if matcher.errors]
        shown = self.health.status(self.accumulator.lanes.values())
        return replace(
            shown,
            filter_errors=shown.filter_errors + sum(matcher.errors for matcher in errors),
            last_filter_error=errors[-1].last_error if errors else "",
        )

    def close(self, *, commit: bool = True) -> None:
        """Commit and leave the group, in the background; after this call the loop must not use the lanes any more."""
        self.closed = True
        self.following.leave_all()
        last = latest(self.accumulator.lanes.values()) if commit else {}
        self._services.close_in_background(lambda: self.kafka_consumer.close(last))

    # Used by the parts in the table above.

    def lane(self, partition: Partition) -> Lane | None:
        """The open lane of a partition."""
        return self.accumulator.lanes.get((partition.topic, partition.number))

    def open_lane(self, partition: Partition) -> Lane:
        """Open a new lane; the one that was open is closed, and its in-flight delivery is ignored."""
        old = self.lane(partition)
        if old is not None:
            self.following.resume_own(partition)
            self.resume(old)
            self._close_lanes([partition])
        return self.accumulator.open_lane(partition)

    def request_dispatch(self) -> None:
        """Request a dispatch: there may be something to publish."""
        self._services.request_dispatch(self.subscription.id)

    def report_lost(self, lost: LostRange) -> None:
        """Log a range of offsets that Kafka no longer holds; the subscription becomes unhealthy."""
        self.health.add_lost_range(lost)
        self.counters.lost += lost.count
        self.begin_problem(RECORDS_LOST)
        self.status_changed = True
        _log.error(
            "records_lost",
            code=RECORDS_LOST,
            subscription=self.subscription.id,
            lane=f"{lost.topic}/{lost.partition}",
            first=lost.first,
            end=lost.end,
            count=lost.count,
        )

    def _owns(self, lane: Lane) -> bool:
        return not self.closed and self.lane(lane.partition) is lane

    def apply_backpressure(self, *, polled: bool) -> None:
        """Pause the lanes that buffer too much, and resume others."""
        lanes = self.accumulator.lanes.values()
        for lane in self.backpressure.to_pause(lanes, polled=polled):
            self._pause_lane(lane)
        for lane in self.backpressure.to_resume(lanes):
            self.resume(lane)

    def _pause_lane(self, lane: Lane) -> None:
        if lane.paused:
            return
        lane.paused = True
        if lane.following:
            self.seek([(lane, lane.ledger.position)])  # which pauses it there
        else:
            self.kafka_consumer.pause(lane.partition)

    def _on_assigned(self, partitions: Sequence[Partition]) -> None:
        self.joined = True
        self._events.assigned()
        REBALANCES.inc("assigned")
        self._start_positions.assigned(partitions)
        _log.info("partitions_assigned", subscription=self.subscription.id, lanes=[str(p) for p in partitions])

    def _on_revoked(self, partitions: Sequence[Partition]) -> None:
        """Close the lanes and commit what is settled: another member continues from there.

        The commit is sent before the partitions are given back, on the same connection to the coordinator. So it
        arrives before the next owner can begin, and this process does not wait for it.
        """
        last = latest(self._close_lanes(partitions))
        if last and not self.closed:
            self.kafka_consumer.commit(last)
        REBALANCES.inc("revoked")
        _log.info("partitions_revoked", subscription=self.subscription.id, lanes=[str(p) for p in partitions])

    def _on_lost(self, partitions: Sequence[Partition]) -> None:
        """Close the lanes without a commit, which could set back the offsets of the partitions' next owner."""
        self._close_lanes(partitions)
        REBALANCES.inc("lost")
        _log.warning("partitions_lost", subscription=self.subscription.id, lanes=[str(p) for p in partitions])

    def _close_lanes(self, partitions: Collection[Partition]) -> list[Lane]:
        """Close these lanes; returns those that were open."""
        self._discard_messages(partitions)
        for partition in partitions:
            self._events.forget(partition)
            lane = self.lane(partition)
            if lane is not None:
                self.following.close(lane)
        closed = [self.accumulator.close_lane(partition) for partition in partitions]
        return [lane for lane in closed if lane is not None]

    def _discard_messages(self, partitions: Collection[Partition]) -> None:
        """Drop the fetched messages of these partitions: their lanes continue at other offsets, or are closed."""
        for partition in partitions:
            self._events.discard_end(partition)
        self._processor.discard(partitions)
