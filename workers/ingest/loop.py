"""The ingest loop: one thread that polls, dispatches, settles and commits for all subscriptions of this process.

    poll ─▶ process (decode, match, batch) ─▶ dispatch ─▶ publisher ┄▶ workers
      ▲                                                               ┆
    commit ◀─ watermarks ◀─ settle ◀─ reports ◀───────────────────────┘

One iteration runs the calls of other threads, runs the timers that are due, polls the consumers that are due,
dispatches what is ready, and waits until the next of these is due. Other threads put all their work as calls into the
inbox. Nothing in here blocks: what may block (closing a consumer, asking Kafka for offsets) runs in the thread pool.
"""

import secrets
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from threading import Thread
from typing import NamedTuple

from webhookd import logs
from webhookd.flow.attempt.attempt_report import VERIFICATION_KINDS, Report
from webhookd.flow.batching.backpressure import lane_bound
from webhookd.flow.dead_letter import Capacity
from webhookd.flow.dispatch.concurrency_limit import ThreadLoad
from webhookd.flow.dispatch.delivery import Delivery
from webhookd.flow.dispatch.open_sessions import OpenSessions
from webhookd.flow.offsets.topic_metadata import Topics
from webhookd.flow.settlement.in_flight import InFlightDeliveries
from webhookd.flow.settlement.policy_confirmation import PolicyConfirmation
from webhookd.flow.status.activity import Activity
from webhookd.flow.status.subscription_status import SubscriptionStatus
from webhookd.flow.subscription import Subscription
from workers.ingest import loop_limits
from workers.ingest.blocking_writers import BlockingWriters
from workers.ingest.consumer.paused_end_offsets import PausedEndOffsets
from workers.ingest.consumer.shared_reader import OpenReader, SharedReader
from workers.ingest.consumer.subscription_consumer import SubscriptionConsumer
from workers.ingest.dispatch.dispatcher import Dispatcher
from workers.ingest.loop_inbox import LoopInbox
from workers.ingest.loop_limits import Clocks, LoopLimits
from workers.ingest.loop_observers import NO_OBSERVERS, LoopObservers
from workers.ingest.metrics.observer_guard import guarded
from workers.ingest.ports import DeadLetterSink
from workers.ingest.running_subscriptions import NewConsumers, RunningSubscriptions
from workers.ingest.settlement.database_writer import DatabaseWriter
from workers.ingest.settlement.dead_letter_writer import DeadLetterWriter
from workers.ingest.settlement.endpoint_verifications import EndpointVerifications
from workers.ingest.settlement.settlement import Settlement
from workers.ingest.subscription_limit import SubscriptionLimit
from workers.ingest.thread_pool import ThreadPool
from workers.ingest.timer_queue import TimerQueue

GONE = "gone"
"""The reason code of a subscription that is deactivated because its endpoint returned 410 (RFC 9110 §15.5.11)."""

_log = logs.get(__name__)


class KafkaClients(NamedTuple):
    """Makes the clients of Kafka: the consumer of a subscription that has this status, and the shared reader.

    `never_joined` is called when a subscription's first consumer failed before it joined its group.
    """

    open_consumer: Callable[[Subscription, SubscriptionStatus | None, "IngestLoop"], SubscriptionConsumer]
    open_reader: OpenReader
    never_joined: Callable[[], None]


class IngestLoop:
    """Runs subscriptions until it is stopped. `subscriptions` is for the loop's thread only: use `call`."""

    def __init__(
        self,
        *,
        limits: LoopLimits,
        clocks: Clocks,
        in_flight: InFlightDeliveries,
        writers: BlockingWriters,
        describe_topics: Callable[[Collection[str]], Topics],
        clients: "KafkaClients",
        observers: LoopObservers = NO_OBSERVERS,
    ) -> None:
        self.monotonic, self.wall_clock = clocks.monotonic, clocks.wall
        self.commit_interval_s = limits.commit_interval_s
        self.consumers: dict[str, SubscriptionConsumer] = {}
        self.inbox = LoopInbox(clocks.monotonic)
        self.offsets = writers.offsets
        self.shared_reader = SharedReader(clients.open_reader, self.close_in_background, clocks.monotonic)
        self.dead_letters: DeadLetterSink = DeadLetterWriter(
            writers.writer, writers.dead_letter_publisher, self, self._set_dead_letter_capacity
        )
        self._limits = limits
        self._in_flight = in_flight
        self._observers = replace(observers, metrics=guarded(observers.metrics, clocks.monotonic))
        self._writer = writers.writer
        self._describe_topics = describe_topics
        self._topics_seen_at = clocks.monotonic()
        self._background = ThreadPool()
        self._paused_ends = PausedEndOffsets(
            self.offsets, self.consumers, call=self.call, in_background=self.in_background
        )
        self._timers = TimerQueue(clocks.monotonic)
        self._dispatcher = self._new_dispatcher(writers)
        self.policy_confirmation = self._new_policy_confirmation(writers)
        self._verifications = EndpointVerifications(
            self.consumers, writers.publisher, writers.writer, clocks.monotonic, reply=limits.reply
        )
        self._settlement = self._new_settlement()
        self.subscriptions = self._new_subscriptions(
            writers.writer,
            NewConsumers(
                open=lambda subscription, previous: clients.open_consumer(subscription, previous, self),
                never_joined=clients.never_joined,
            ),
        )
        self._running = True
        self._dispatching = True
        self._thread = Thread(target=self._run, name="ingest-loop", daemon=True)

    def _new_dispatcher(self, writers: BlockingWriters) -> Dispatcher:
        return Dispatcher(
            self._in_flight,
            writers.publisher,
            reply=self._limits.reply,
            worker_threads=self._limits.worker_threads,
            failed=self._restart_later,
            sessions=OpenSessions(idle_s=self._limits.session_idle_s, most=self._limits.session_deliveries),
            spans=self._observers.spans,
        )

    def _new_policy_confirmation(self, writers: BlockingWriters) -> PolicyConfirmation:
        reply = self._limits.reply
        return PolicyConfirmation(
            self._in_flight,
            lambda marker: writers.publisher.mark(reply, marker),
            self.monotonic,
            lambda: secrets.token_hex(8),
            lambda: writers.dead_letter_publisher.withdrawn_ended,
        )

    def _new_settlement(self) -> Settlement:
        return Settlement(
            self._in_flight,
            self._dispatcher,
            self.consumers,
            self._timers,
            gone=lambda consumer: self._writer.deactivate(consumer.subscription, GONE),
            failed=self._restart_later,
            marker_read=self.policy_confirmation.marker_read,
            observers=self._observers,
        )

    def _new_subscriptions(self, writer: DatabaseWriter, new_consumers: NewConsumers) -> RunningSubscriptions:
        return RunningSubscriptions(
            self.consumers,
            self,
            in_flight=self._in_flight,
            dispatcher=self._dispatcher,
            settlement=self._settlement,
            writer=writer,
            limit=SubscriptionLimit(self._limits.subscriptions, self.consumers, lambda: self._background.closing),
            new_consumers=new_consumers,
        )

    # Called by other threads.

    @property
    def thread_id(self) -> int | None:
        """The id of the loop's thread; None before it runs."""
        return self._thread.ident

    def start(self) -> None:
        """Start the loop's thread."""
        self._timers.every(loop_limits.SWEEP_S, self._settlement.sweep)
        self._timers.every(loop_limits.SWEEP_S, self.policy_confirmation.check)
        self._timers.every(self._limits.commit_interval_s, self._commit_without_topics)
        self._timers.every(loop_limits.STATUS_S, self._check_consumers)
        self._timers.every(loop_limits.VERIFICATION_S, self._verify_endpoints)
        self._thread.start()

    def stop(self, budget_s: float) -> None:
        """Stop dispatching, wait for in-flight deliveries within the budget, commit and leave the groups. Blocks."""
        until = self.monotonic() + budget_s
        self.call(lambda: self._drain(until))
        self._thread.join(budget_s + 1.0)
        unfinished = self._background.stop(loop_limits.LEAVE_S)
        if unfinished:
            _log.warning("groups_not_left", code="kafka_unavailable", count=unfinished)

    def abandon_cluster(self) -> None:
        """Poll, dispatch and commit nothing any more: the brokers are those of another cluster."""
        self.subscriptions.foreign_cluster = self._dispatcher.offline = True
        self._dispatching = False

    def call(self, action: Callable[[], None]) -> None:
        """Run on the loop's thread, soon."""
        self.inbox.put(action)

    @property
    def dropped_commit_interval_s(self) -> float:
        """How often a subscription commits lanes that have only dropped records: with few subscriptions each time."""
        return min(self._limits.dropped_commit_s, len(self.consumers) / loop_limits.DROPPED_COMMITS_A_SECOND)

    def call_later(self, delay_s: float, action: Callable[[], None]) -> None:
        """Run on the loop's thread after a delay."""
        self.call(lambda: self._timers.at(self.monotonic() + delay_s, action))

    def in_background(self, action: Callable[[], None]) -> None:
        """Run on a thread that may block."""
        self._background.run(action)

    def close_in_background(self, action: Callable[[], None]) -> None:
        """Run on a thread that may block for long."""
        self._background.close(action)

    def add_activity(self, activity: Activity) -> None:
        """Write an event to the recent activity of its subscription."""
        self._writer.add_activity(lambda: [activity])

    def topics(self, names: Collection[str]) -> Topics:
        """Ask the cluster about these topics. Blocks. Raises KafkaException."""
        return self._describe_topics(names)

    def set_worker_load(self, load: ThreadLoad) -> None:
        """Pass on to the dispatcher how many threads the live workers have, and how many are busy."""
        self.call(lambda: self._dispatcher.resize(load))

    def add_reports(self, reports: Sequence[Report], *, late: bool = False) -> None:
        """Settle these reports; `late` is True if they had to wait before they could be read."""
        self.call(lambda: self._apply(reports, late=late))

    def publish_unknown(self, deliveries: Sequence[Delivery]) -> None:
        """Publish again soon, under the same ids, deliveries of which it is unknown whether they were published."""
        self.call(lambda: self._settlement.republish_soon(deliveries))

    def push_refused(self, session: str, deliveries: Sequence[Delivery]) -> None:
        """Count deliveries as published in a task: the session that they were pushed to had closed."""
        self.call(lambda: self._dispatcher.push_refused(session, deliveries, self.monotonic()))

    # Called on the loop's thread.

    def poll_soon(self, subscription_id: str) -> None:
        """Poll a subscription's consumer at the next opportunity."""
        consumer = self.consumers.get(subscription_id)
        if consumer is not None and not consumer.closed:
            consumer.poll_at = self.monotonic()
            self.subscriptions.polling.add(consumer)

    def restart_later(self, subscription_id: str, error: Exception) -> None:
        """Replace a subscription's consumer, which has failed."""
        consumer = self.consumers.get(subscription_id)
        if consumer is not None:
            self.subscriptions.restart_later(consumer, error)

    def request_dispatch(self, subscription_id: str) -> None:
        """Request a dispatch of a subscription that may have something to publish."""
        consumer = self.consumers.get(subscription_id)
        if consumer is not None:
            self._settlement.schedule_dispatch(consumer)

    def update_topics(self, topics: Topics) -> None:
        """Pass the latest topic metadata to all consumers, then commit what is settled."""
        self._topics_seen_at = self.monotonic()
        for consumer in self.consumers.values():
            consumer.update_topics(topics)
        self._commit()

    def _set_dead_letter_capacity(self, subscription_id: str, capacity: Capacity) -> None:
        consumer = self.consumers.get(subscription_id)
        if consumer is not None:
            consumer.undeliverable.set_capacity(capacity)

    def _restart_later(self, consumer: SubscriptionConsumer, error: Exception) -> None:
        self.subscriptions.restart_later(consumer, error)

    def _run(self) -> None:
        while self._running:
            try:
                self._iterate()
            except Exception:  # noqa: BLE001 - the top of the loop: one fault must not end all subscriptions
                _log.exception("loop_iteration_failed")
        self.inbox.iteration = 0

    def _iterate(self) -> None:
        all_run = self.inbox.run_pending(loop_limits.CALLS_BUDGET_S)
        self.subscriptions.refresh_topics_in_use()
        now = self.monotonic()
        if all_run:  # otherwise the inbox may still hold the report that renews a lease
            self._timers.run_due(now)
        if self._dispatching:
            self._poll(now)
            self._dispatcher.dispatch(self.monotonic())
        self._wait()

    def _poll(self, now: float) -> None:
        if now >= self.shared_reader.poll_at:
            self.shared_reader.poll(now)
        pause_s = self._dispatcher.pause_s()
        polling = self.subscriptions.polling
        for consumer in polling.take_due(now):
            if not (consumer.closed or consumer.broken):
                self._poll_one(consumer, now, pause_s)
                polling.add(consumer)

    def _poll_one(self, consumer: SubscriptionConsumer, now: float, pause_s: float) -> None:
        try:
            if consumer.poll(now, pause_s):
                self._settlement.schedule_dispatch(consumer)
        except Exception as error:  # noqa: BLE001 - whatever it is, it concerns this subscription only
            self._restart_later(consumer, error)

    def _wait(self) -> None:
        """Wait until a timer, a poll or a dispatch is due, or another thread makes a call."""
        now = self.monotonic()
        until = self._timers.next_at()
        if self._dispatching:
            until = min(until, self.subscriptions.polling.next_at, self.shared_reader.poll_at)
        dispatch_at = self._dispatcher.due_at
        if dispatch_at is not None:
            until = min(until, dispatch_at)
        if until > now:
            until = max(until, now + loop_limits.SHORTEST_PAUSE_S)  # one iteration polls many consumers
            self.inbox.wait(until - now)

    def _commit_without_topics(self) -> None:
        """Commit even if the topics were not checked recently: lanes that were confirmed last remain confirmed."""
        if self.monotonic() - self._topics_seen_at > loop_limits.MISSED_TOPIC_CHECKS * self._limits.commit_interval_s:
            self._commit()

    def _commit(self) -> None:
        if self.subscriptions.foreign_cluster:
            return
        for consumer in list(self.consumers.values()):
            if consumer.following.all_follow:  # polled rarely: it may not know yet that it has lost its partitions
                self._poll_one(consumer, self.monotonic(), self._dispatcher.pause_s())
                self.subscriptions.polling.add(consumer)
            consumer.commits.commit()

    def _check_consumers(self) -> None:
        """Once a second: start what waits, divide the memory among the lanes, check and write each status."""
        if self._dispatching:
            self.subscriptions.start_waiting()
        self._dispatcher.count_lanes()
        lanes = sum(len(consumer.accumulator.lanes) for consumer in self.consumers.values())
        lane_bytes = min(self._limits.lane_bytes, self._limits.process_bytes // max(1, lanes))
        for consumer in self.consumers.values():
            consumer.backpressure.lane_bytes = lane_bound(lane_bytes, unverified=consumer.verification is not None)
            consumer.check()
            self.subscriptions.write_status(consumer)
        self._paused_ends.refresh(self.monotonic())
        self._observers.metrics.checked(self.consumers.values(), self.subscriptions.not_run)

    def _apply(self, reports: Sequence[Report], *, late: bool) -> None:
        self._settlement.settle([report for report in reports if report.kind not in VERIFICATION_KINDS], late=late)
        for report in reports:
            if report.kind in VERIFICATION_KINDS:
                self._verifications.reported(report)

    def _verify_endpoints(self) -> None:
        if self._dispatching and not self._dispatcher.offline:
            self._verifications.check()

    def _drain(self, until: float) -> None:
        """The order of a stop: end dispatching, settle in-flight deliveries, commit, leave the groups."""
        self._dispatching = False
        if self._in_flight.under_way and self.monotonic() < until:
            self._timers.at(self.monotonic() + loop_limits.SWEEP_S, lambda: self._drain(until))
            return
        self._running = False
        for subscription_id in list(self.consumers):
            self.subscriptions.stop(subscription_id)
        self.shared_reader.close()
        if self._observers.spans is not None:
            self._observers.spans.stop()
