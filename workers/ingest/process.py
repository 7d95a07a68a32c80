"""An ingest process: its parts, and the order in which they start and stop.

start   service watch, publisher, database writer, dead-letter publisher, loop, watchdog, report reader, Kafka watch,
        assignment, topic watch, worker capacity, monitor, group upkeep
        parts start before their callers; nothing is read before the brokers are known to be the database's cluster
stop    assignment, Kafka watch, topic watch, worker capacity, loop (drains), watchdog, group upkeep, report reader,
        publisher, database writer, dead-letter publisher, row of this process, monitor,
        service watch
        first nothing new starts; then in-flight deliveries are settled, while reports still arrive; then the last
        rows and copies are written; a policy is not confirmed before that
"""

import random
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from math import inf
from queue import Empty, SimpleQueue
from typing import NamedTuple

from celery import Celery

from webhookd import clock, logs
from webhookd.edges.dead_letter_topics import DeadLetterTopics
from webhookd.edges.kafka_admin import KafkaAdmin
from webhookd.edges.kafka_connection import KafkaConnection
from webhookd.edges.kafka_reachability import KafkaProbe
from webhookd.edges.partition_offsets import PartitionOffsets
from webhookd.edges.tracing import Tracing
from webhookd.errors import (
    ClusterMismatch,
    IngestFull,
    KafkaAuthenticationFailed,
    KafkaUnavailable,
    RowsRefused,
    UpkeepDelayed,
)
from webhookd.flow.dispatch.concurrency_limit import WorkerThreads
from webhookd.flow.dispatch.delivery import Delivery
from webhookd.flow.dispatch.trace_sampling import TraceSampling
from webhookd.flow.settlement.delivery_timeouts import DeliveryTimeouts
from webhookd.flow.settlement.in_flight import InFlightDeliveries
from webhookd.metrics.exposition import SampleSources
from webhookd.service_watch import ServiceWatch, WatchedService, watched_database, watched_kafka, watched_redis
from webhookd.settings import Settings
from webhookd.store.system_health import IngestLoad
from workers.edges import Edges
from workers.ingest.blocking_writers import BlockingWriters
from workers.ingest.consumer.consumer_factory import ConsumerFactory
from workers.ingest.consumer.topic_watch import TopicWatch
from workers.ingest.control.assignment import Membership, SubscriptionAssignment
from workers.ingest.control.consumer_group_upkeep import ConsumerGroupUpkeep
from workers.ingest.control.policies_in_use import PoliciesInUse
from workers.ingest.dispatch.delivery_spans import DeliverySpans
from workers.ingest.dispatch.task_publisher import TaskPublisher
from workers.ingest.dispatch.worker_capacity import WorkerCapacity
from workers.ingest.loop import IngestLoop, KafkaClients
from workers.ingest.loop_commands import LoopCommands
from workers.ingest.loop_limits import Clocks, LoopLimits
from workers.ingest.loop_observers import LoopObservers
from workers.ingest.metrics.process_metrics import ProcessMetrics
from workers.ingest.monitoring.kafka_watch import KafkaWatch
from workers.ingest.monitoring.loop_watchdog import LoopWatchdog
from workers.ingest.monitoring.monitor import Monitor
from workers.ingest.settlement.database_writer import DatabaseWriter
from workers.ingest.settlement.dead_letter_publisher import DeadLetterPublisher
from workers.ingest.settlement.report_reader import ReportReader
from workers.ingest.subscription_limit import subscription_limit

LOAD_TIMEOUT_S = 1.0
"""How long the monitor waits until the loop returns its load; after that it shows the previous load."""

STOP_S = 5.0
"""How long a stop waits for each thread that still has rows or tasks to write, or reports to pass on."""

_log = logs.get(__name__)


class InFlight(NamedTuple):
    """How many deliveries are in flight, and since when (monotonic seconds) the oldest of them is."""

    deliveries: int
    oldest_at: float


class IngestProcess:
    """Runs the subscriptions that are assigned to this process, from `start` to `stop`.

    `mismatched` is called if the brokers are not the database's cluster: the process must end. `metrics` is where it
    adds its metrics; None if nothing is to be counted.
    """

    def __init__(
        self,
        settings: Settings,
        edges: Edges,
        app: Celery,
        mismatched: Callable[[ClusterMismatch], None],
        metrics: SampleSources | None,
    ) -> None:
        self._settings = settings
        self._metrics = ProcessMetrics(settings, edges.database, metrics)
        self._kafka_connection = KafkaConnection.of(settings)
        self._edges = edges
        self.member_id = secrets.token_hex(8)
        self._last_load = InFlight(0, inf)
        self._consumer_factory = ConsumerFactory(settings, self._kafka_connection, _new_token)
        self._writer = _database_writer(settings, edges)
        self._in_flight = InFlightDeliveries(_delivery_timeouts(settings), _new_token, random.random)
        self._policies = _policies_in_use(settings)
        self._publisher = self._new_publisher(app)
        self._dead_letter_publisher = DeadLetterPublisher(
            DeadLetterTopics(self._kafka_connection), clock.monotonic, may_write=lambda: self._policies.copies_allowed
        )
        self._topic_watch = self._new_topic_watch()
        self.loop = self._new_loop()
        self._watchdog = LoopWatchdog(
            iteration=lambda: self.loop.inbox.iteration, thread_id=lambda: self.loop.thread_id
        )
        self._control = LoopCommands(
            self.loop,
            self._writer,
            reachability=lambda: self._kafka.reachability,
            kafka_timeout_s=settings.ingest_kafka_timeout_s,
            mismatched=mismatched,
        )
        self._kafka = KafkaWatch(
            KafkaProbe(self._kafka_connection), edges.database, self._control, monotonic=clock.monotonic
        )
        self._assignment = self._new_assignment()
        self._upkeep = self._new_upkeep()
        self._worker_capacity = WorkerCapacity(
            edges.coordination, ingests=lambda: self._assignment.sharing_count, on_load=self.loop.set_worker_load
        )
        self._reports = self._new_report_reader()
        self._monitor = self._new_monitor()
        self._service_watch = ServiceWatch(self._watched())
        self._metrics.serve(self._monitor.samples, self._watchdog.samples)

    def start(self) -> None:
        """Start every thread; returns at once."""
        self._service_watch.start()
        self._publisher.start()
        self._writer.start()
        self._dead_letter_publisher.start()
        self.loop.subscriptions.start_offline()
        self.loop.start()
        self._watchdog.start()
        self._reports.start()
        self._kafka.start()
        self._assignment.start()
        self._topic_watch.start()
        self._worker_capacity.start()
        self._monitor.start()
        self._upkeep.start()
        _log.info("ingest_started", member=self.member_id, group_protocol=self._consumer_factory.group_protocol)

    def stop(self, budget_s: float) -> None:
        """Drain within the budget. Blocks. If the budget is too short, no record is lost, but some are sent again."""
        self._assignment.stop()
        self._kafka.stop()
        self._topic_watch.stop()
        self._worker_capacity.stop()
        self.loop.stop(budget_s)
        self._watchdog.stop()
        self._upkeep.stop()
        self._reports.stop(STOP_S)
        self._publisher.stop(STOP_S)
        self._writer.stop(STOP_S)
        if self._dead_letter_publisher.stop(STOP_S):
            self._assignment.leave()
        self._monitor.stop(STOP_S)
        self._service_watch.stop()

    def _new_publisher(self, app: Celery) -> TaskPublisher:
        return TaskPublisher(
            app,
            self._edges.coordination,
            on_unknown=self._publish_unknown,
            on_refused=self._push_refused,
            may_publish=self._policies.may_publish,
            sessions=self._settings.session_idle_s > 0,
        )

    def _new_loop(self) -> IngestLoop:
        return IngestLoop(
            limits=_loop_limits(self._settings, self.member_id),
            clocks=Clocks(monotonic=clock.monotonic, wall=clock.wall_clock),
            in_flight=self._in_flight,
            writers=BlockingWriters(
                publisher=self._publisher,
                writer=self._writer,
                dead_letter_publisher=self._dead_letter_publisher,
                offsets=PartitionOffsets(self._kafka_connection),
            ),
            describe_topics=self._topic_watch.describe,
            clients=KafkaClients(
                open_consumer=self._consumer_factory.open,
                open_reader=self._consumer_factory.open_reader,
                never_joined=self._consumer_factory.fall_back,
            ),
            observers=LoopObservers(
                metrics=self._metrics.observer, spans=_delivery_spans(self._settings, self._edges.tracing)
            ),
        )

    def _new_topic_watch(self) -> TopicWatch:
        return TopicWatch(
            self._kafka_connection,
            interval_s=self._settings.commit_interval_s,
            in_use=lambda: self.loop.subscriptions.topics_in_use,
            on_topics=lambda topics: self.loop.call(partial(self.loop.update_topics, topics)),
        )

    def _new_assignment(self) -> SubscriptionAssignment:
        settings = self._settings
        return SubscriptionAssignment(
            self._edges.database,
            self._control,
            self._kafka,
            member=self._membership(),
            interval_s=settings.control_read_interval_s,
            listen=self._edges.notifications.run,
            in_use=self._policies,
        )

    def _new_upkeep(self) -> ConsumerGroupUpkeep:
        settings = self._settings
        return ConsumerGroupUpkeep(
            self._edges.database,
            KafkaAdmin(self._kafka_connection),
            member=self._membership(),
            offsets_every_s=settings.offset_upkeep_s,
            protocol=lambda: self._consumer_factory.group_protocol,
            ready=lambda: self._control.cluster_confirmed,
            open_without_policy=settings.open_without_policy,
        )

    def _new_report_reader(self) -> ReportReader:
        return ReportReader(
            self._edges.coordination,
            self.member_id,
            lambda found, late: self.loop.add_reports(found, late=late),
            monotonic=clock.monotonic,
            wall_clock=clock.wall_clock,
        )

    def _new_monitor(self) -> Monitor:
        return Monitor(
            self._settings,
            self._edges,
            member_id=self.member_id,
            ingest_load=self._load,
            more_checks=self._checks(),
            checked=self._metrics.refresh,
        )

    def _membership(self) -> Membership:
        return Membership(
            id=self.member_id,
            timeout_s=self._settings.ingest_member_timeout_s,
            kafka_timeout_s=self._settings.ingest_kafka_timeout_s,
            monotonic=clock.monotonic,
        )

    def _checks(self) -> dict[str, Callable[[], None]]:
        return {
            KafkaUnavailable.code: self._kafka.check_answers,
            KafkaAuthenticationFailed.code: self._kafka.check_accepts,
            RowsRefused.code: self._writer.check,
            UpkeepDelayed.code: self._upkeep.check,
            IngestFull.code: self.loop.subscriptions.limit.check,
        }

    def _watched(self) -> list[WatchedService]:
        kafka = watched_kafka(self._settings, self._kafka.check)
        if self._settings.embedded:
            return [kafka]
        database = watched_database(self._settings, self._edges.database.ping)
        return [kafka, database, watched_redis(self._settings, self._edges.coordination.ping)]

    def _load(self) -> IngestLoad:
        """Return the load of this process: what the loop's thread returns, and the watchdog's longest iteration."""
        answers: SimpleQueue[InFlight] = SimpleQueue()
        self.loop.call(lambda: answers.put(InFlight(len(self._in_flight), self._in_flight.oldest_at)))
        with suppress(Empty):  # a loop that is stuck returns nothing: the previous load is kept
            self._last_load = answers.get(timeout=LOAD_TIMEOUT_S)
        return IngestLoad(
            deliveries_in_flight=self._last_load.deliveries,
            oldest_unanswered_s=max(0.0, clock.monotonic() - self._last_load.oldest_at),
            longest_iteration_s=self._watchdog.longest_iteration_s,
        )

    def _publish_unknown(self, deliveries: Sequence[Delivery]) -> None:
        self.loop.publish_unknown(deliveries)

    def _push_refused(self, session: str, deliveries: Sequence[Delivery]) -> None:
        self.loop.push_refused(session, deliveries)


def _new_token() -> str:
    return secrets.token_hex(8)


def _delivery_timeouts(settings: Settings) -> DeliveryTimeouts:
    return DeliveryTimeouts(
        claim_timeout_s=settings.claim_timeout_s,
        lease_s=settings.lease_s,
        request_deadline_s=settings.request_deadline_s,
        retry_time_scale=settings.retry_time_scale,
    )


def _delivery_spans(settings: Settings, tracing: Tracing | None) -> DeliverySpans | None:
    if tracing is None:
        return None
    sampling = TraceSampling(
        ratio=settings.traces_sample_ratio,
        parent_based=settings.traces_sampler == "parentbased_traceidratio",
        chance=random.random,
    )
    return DeliverySpans(tracing.tracer, sampling, clock.monotonic, clock.wall_clock)


def _database_writer(settings: Settings, edges: Edges) -> DatabaseWriter:
    return DatabaseWriter(
        edges.database,
        retention_s=settings.activity_retention_s,
        dead_letter_retention_s=settings.dead_letter_retention_s,
        audit_retention_s=settings.audit_retention_s,
        dead_letter_limit=settings.dead_letter_limit,
        tenant_dead_letter_limit=settings.tenant_dead_letters,
        wall_clock=clock.wall_clock,
        monotonic=clock.monotonic,
    )


def _policies_in_use(settings: Settings) -> PoliciesInUse:
    return PoliciesInUse(
        open_without_policy=settings.open_without_policy,
        max_age_s=settings.policy_max_age_s,
        monotonic=clock.monotonic,
    )


def _loop_limits(settings: Settings, member_id: str) -> LoopLimits:
    return LoopLimits(
        reply=member_id,
        commit_interval_s=settings.commit_interval_s,
        dropped_commit_s=settings.dropped_commit_interval_s,
        lane_bytes=settings.lane_buffer_bytes,
        process_bytes=settings.process_buffer_bytes,
        worker_threads=WorkerThreads(first=settings.worker_threads, retry=settings.worker_threads),
        subscriptions=subscription_limit(),
        session_idle_s=settings.session_idle_s,
        session_deliveries=settings.session_deliveries,
    )
