"""An ingest process: what it is made of, and the order in which it starts and stops.

start   publisher, recorder, graveyard, loop, reports, kafka, control, topics, slots, vigil, upkeep
        who is called is there before who calls; nothing is read before the cluster is known to be the database's
stop    control, kafka, topics, slots, loop (drains), upkeep, reports, publisher, recorder, graveyard, vigil
        nothing new is begun; what is in flight is settled while its reports still arrive; then the last rows
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
from webhookd.edges.kafka_consumer import GroupConsumer
from webhookd.edges.kafka_reachability import KafkaProbe
from webhookd.edges.partition_offsets import PartitionOffsets
from webhookd.errors import (
    ClusterMismatch,
    InvalidInput,
    KafkaUnavailable,
    RowsRefused,
    UnusableSubscription,
    UpkeepDelayed,
)
from webhookd.flow.attempt.target import Target, request_head
from webhookd.flow.batching.backpressure import ReadBackpressure
from webhookd.flow.batching.envelope import CONTENT_TYPE
from webhookd.flow.control.administration import SETTLE_WITHIN_S
from webhookd.flow.control.membership import STEADY_S
from webhookd.flow.dispatch.accumulator import BatchAccumulator, DeliveryLimits
from webhookd.flow.dispatch.concurrency_limit import WorkerThreads
from webhookd.flow.dispatch.delivery import Delivery
from webhookd.flow.filters.matcher import Matcher
from webhookd.flow.settlement.in_flight import DeliveryTimeouts, InFlightDeliveries
from webhookd.flow.status.subscription_status import Health, SubscriptionStatus, unhealthy
from webhookd.flow.subscription import OnFilterError, Subscription
from webhookd.settings import Settings
from webhookd.store.subscriptions import Loaded
from webhookd.store.system_health import IngestLoad
from workers.edges import Edges
from workers.ingest.blocking_writers import BlockingWriters
from workers.ingest.consumer.subscription_consumer import SubscriptionConsumer
from workers.ingest.consumer.topic_watch import TopicWatch
from workers.ingest.control.assignment import Membership, SubscriptionAssignment
from workers.ingest.control.group_upkeep import GroupUpkeep
from workers.ingest.dispatch.task_publisher import TaskPublisher
from workers.ingest.dispatch.worker_capacity import WorkerCapacity
from workers.ingest.loop import IngestLoop
from workers.ingest.loop_limits import Clocks, LoopLimits
from workers.ingest.monitoring import kafka_outage
from workers.ingest.monitoring.kafka_watch import KafkaWatch
from workers.ingest.monitoring.loop_watchdog import LoopWatchdog
from workers.ingest.monitoring.monitor import Monitor
from workers.ingest.settlement.database_writer import DatabaseWriter
from workers.ingest.settlement.dead_letter_publisher import DeadLetterPublisher
from workers.ingest.settlement.report_reader import ReportReader

VITALS_S = 1.0

OFFLINE, UNCONFIRMED = "offline", "unconfirmed"
"""Why nothing runs: webhookd is offline; it is not known yet whether the brokers are the database's cluster."""

_log = logs.get(__name__)


class InFlight(NamedTuple):
    """Deliveries without an answer, and since when (monotonic seconds) the oldest of them is."""

    deliveries: int
    oldest_at: float


class IngestProcess:
    """Runs this process' share of the subscriptions, from `start` to `stop`.

    `mismatched` is called when the brokers turn out to be another cluster's than the database's: the process must end.
    """

    def __init__(
        self, settings: Settings, edges: Edges, app: Celery, mismatched: Callable[[ClusterMismatch], None]
    ) -> None:
        self._settings = settings
        self._edges = edges
        self._group_protocol = "consumer" if settings.kafka_group_protocol == "auto" else settings.kafka_group_protocol
        self.member_id = secrets.token_hex(8)
        self._in_flight = InFlight(0, inf)
        self._mismatched = mismatched
        self._held = {UNCONFIRMED}
        self._kafka = KafkaWatch(
            KafkaProbe(settings.kafka_bootstrap_servers), edges.database, self, monotonic=clock.monotonic
        )
        self._writer = _writer(settings, edges)
        self._deliveries = InFlightDeliveries(_delivery_timeouts(settings), _new_token, random.random)
        self._publisher = TaskPublisher(app, edges.coordination, unknown=self._unknown)
        self._dead_letter_publisher = DeadLetterPublisher(
            DeadLetterTopics(settings.kafka_bootstrap_servers), clock.monotonic
        )
        self._topics = TopicWatch(
            settings.kafka_bootstrap_servers,
            interval_s=settings.commit_interval_s,
            in_use=lambda: self.loop.topics_in_use,
            saw=lambda seen: self.loop.call(partial(self.loop.saw_topics, seen)),
        )
        self.loop = IngestLoop(
            bounds=_loop_bounds(settings, self.member_id),
            clocks=Clocks(monotonic=clock.monotonic, wall=clock.wall_clock),
            in_flight=self._deliveries,
            companions=self._companions(),
            look=self._topics.look,
            open_consumer=self._open_consumer,
            never_joined=self._fall_back,
        )
        self._watchdog = LoopWatchdog(turn=lambda: self.loop.inbox.turn, thread_id=lambda: self.loop.thread_id)
        self._control = self._new_control()
        self._upkeep = self._new_upkeep()
        self._slots = WorkerCapacity(
            edges.coordination, ingests=lambda: self._control.sharing_count, share=self.loop.share
        )
        self._reports = ReportReader(
            edges.coordination,
            self.member_id,
            lambda found, late: self.loop.reported(found, late=late),
            monotonic=clock.monotonic,
            wall_clock=clock.wall_clock,
        )
        self._monitor = Monitor(settings, edges, member_id=self.member_id, vitals=self._vitals, more=self._checks())

    def _checks(self) -> dict[str, Callable[[], None]]:
        return {
            KafkaUnavailable.code: self._kafka.check,
            RowsRefused.code: self._writer.check,
            UpkeepDelayed.code: self._upkeep.check,
        }

    def _companions(self) -> BlockingWriters:
        return BlockingWriters(
            publisher=self._publisher,
            writer=self._writer,
            dead_letter_publisher=self._dead_letter_publisher,
            offsets=PartitionOffsets(self._settings.kafka_bootstrap_servers),
        )

    def start(self) -> None:
        """Start every thread; returns at once."""
        self._publisher.start()
        self._writer.start()
        self._dead_letter_publisher.start()
        self.loop.hold()
        self.loop.start()
        self._watchdog.start()
        self._reports.start()
        self._kafka.start()
        self._control.start()
        self._topics.start()
        self._slots.start()
        self._monitor.start()
        self._upkeep.start()
        _log.info("ingest_started", member=self.member_id, group_protocol=self._group_protocol)

    def stop(self, budget_s: float) -> None:
        """Drain within the budget; nothing is lost when it is too short."""
        self._control.stop()
        self._kafka.stop()
        self._topics.stop()
        self._slots.stop()
        self.loop.stop(budget_s)
        self._watchdog.stop()
        self._upkeep.stop()
        self._reports.stop(5.0)
        self._publisher.stop(5.0)
        self._writer.stop(5.0)
        self._dead_letter_publisher.stop(5.0)
        self._monitor.stop(5.0)
        _log.info("ingest_stopped", member=self.member_id)

    def run(self, id_: str, version: int, found: Loaded, previous: SubscriptionStatus | None) -> None:
        """Run this version of a subscription; one that cannot be used is unhealthy with the reason."""
        match found:
            case UnusableSubscription():
                self._refuse(id_, version, found, previous)
            case Subscription(active=False):
                self.leave(id_)
            case _:
                self.loop.call(partial(self._start, found, previous))

    def leave(self, id_: str) -> None:
        """Stop running it; without a last commit while Kafka is out of reach."""
        self.loop.call(self._know_kafka)
        self.loop.call(partial(self.loop.drop, id_))

    def go_offline(self, age_s: float) -> None:
        """Stop everything: what is in flight may be settled until `SETTLE_WITHIN_S` after the switch."""
        _log.warning("went_offline", age_s=round(age_s, 3))
        self.loop.call(partial(self._held.add, OFFLINE))
        self.loop.call(partial(self.loop.fall_asleep, max(0.0, SETTLE_WITHIN_S - age_s)))

    def go_online(self) -> None:
        """Go on from the committed positions."""
        _log.warning("went_online")
        self.loop.call(partial(self._wake, OFFLINE))

    def kafka_confirmed(self) -> None:
        """The brokers are the database's cluster: what is to run may read."""
        self.loop.call(partial(self._wake, UNCONFIRMED))

    def kafka_asked(self) -> None:
        """The statuses say whether Kafka answers."""
        self.loop.call(self._show_kafka)

    def kafka_mismatched(self, error: ClusterMismatch) -> None:
        """Nothing is read or committed from here on: it would be from another cluster's topics, to its groups."""
        _log.error("cluster_mismatch", code=error.code, detail=error.detail)
        self.loop.abandon_cluster()
        self._mismatched(error)

    def _show_kafka(self) -> None:
        self._know_kafka()
        contact, now = self._kafka.contact, clock.monotonic()
        kafka_outage.show(self.loop.consumers.values(), contact, now, self._settings.ingest_kafka_timeout_s)
        if self._held == {UNCONFIRMED}:
            wall_now = clock.wall_clock()
            self.loop.revise_held(lambda item, before: kafka_outage.status_of(item, before, contact, now, wall_now))

    def _know_kafka(self) -> None:
        """Whether the loop may commit what it leaves: not as soon as Kafka is back, others may have read on by then."""
        contact, now = self._kafka.contact, clock.monotonic()
        if contact.silent_s(now) >= self._settings.ingest_kafka_timeout_s:
            self.loop.kafka_lost = True
        elif contact.contact_s(now) >= STEADY_S:
            self.loop.kafka_lost = False

    def _wake(self, reason: str) -> None:
        """On the loop's thread, as all that changes `_held`. Each start is a call of its own, not all one turn."""
        self._held.discard(reason)
        if self._held:
            return
        for subscription, status in self.loop.wake():
            self.loop.call(partial(self._start_if_wanted, subscription, status))

    def _new_control(self) -> SubscriptionAssignment:
        settings = self._settings
        member = Membership(
            id=self.member_id,
            timeout_s=settings.ingest_member_timeout_s,
            kafka_timeout_s=settings.ingest_kafka_timeout_s,
            monotonic=clock.monotonic,
        )
        return SubscriptionAssignment(
            self._edges.database,
            self,
            self._kafka,
            member=member,
            interval_s=settings.control_read_interval_s,
            listen=self._edges.notifications.run,
        )

    def _new_upkeep(self) -> GroupUpkeep:
        settings = self._settings
        return GroupUpkeep(
            self._edges.database,
            KafkaAdmin(settings.kafka_bootstrap_servers),
            member_id=self.member_id,
            member_timeout_s=settings.ingest_member_timeout_s,
            offsets_every_s=settings.offset_upkeep_s,
            protocol=lambda: self._group_protocol,
            monotonic=clock.monotonic,
            ready=lambda: UNCONFIRMED not in self._held,
        )

    def _vitals(self) -> IngestLoad:
        """How this process is, as the loop's thread and the watchdog say."""
        answers: SimpleQueue[InFlight] = SimpleQueue()
        self.loop.call(lambda: answers.put(InFlight(len(self._deliveries), self._deliveries.oldest_at)))
        with suppress(Empty):  # a loop that hangs changes nothing: what it said last still holds
            self._in_flight = answers.get(timeout=VITALS_S)
        return _vitals_of(self._in_flight, self._watchdog.longest_turn_s)

    def _unknown(self, deliveries: Sequence[Delivery]) -> None:
        self.loop.unknown(deliveries)

    def _fall_back(self) -> None:
        """A consumer failed for good before it joined its group: brokers before 4.0 do not know the new protocol."""
        if self._settings.kafka_group_protocol == "auto" and self._group_protocol != "classic":
            self._group_protocol = "classic"
            _log.warning("group_protocol_fell_back", group_protocol=self._group_protocol)

    def _start_if_wanted(self, subscription: Subscription, previous: SubscriptionStatus | None) -> None:
        if self.loop.wants(subscription):
            self._start(subscription, previous)

    def _start(self, subscription: Subscription, previous: SubscriptionStatus | None) -> None:
        try:
            self.loop.start_with(subscription, previous)
        except UnusableSubscription as error:
            self._refuse(subscription.id, subscription.version, error, previous)

    def _refuse(self, id_: str, version: int, error: UnusableSubscription, previous: SubscriptionStatus | None) -> None:
        self.leave(id_)
        _log.error("subscription_unusable", code=error.code, subscription=id_, version=version, detail=error.detail)
        before = previous or SubscriptionStatus(subscription_id=id_, health=Health.HEALTHY)
        self._writer.status(unhealthy(before, error.code, error.detail, clock.wall_clock(), version))

    def _open_consumer(
        self, subscription: Subscription, previous: SubscriptionStatus | None, loop: IngestLoop
    ) -> SubscriptionConsumer:
        settings = self._settings
        try:
            drops = subscription.filtering.on_filter_error is OnFilterError.DROP
            matchers = {
                source.topic: Matcher(source.jmes_filters, drops_errors=drops) for source in subscription.sources
            }
            target = Target.parse(subscription.destination.url)
            request_head(target, subscription.destination.headers, CONTENT_TYPE)
        except InvalidInput as error:
            raise UnusableSubscription(error.detail) from error
        limits = DeliveryLimits(delivery_bytes=settings.delivery_bytes, delivery_target_s=settings.delivery_target_s)
        open_reader: Callable[..., GroupConsumer] = partial(
            GroupConsumer,
            settings.kafka_bootstrap_servers,
            subscription.consumer_group,
            list(matchers),
            self._group_protocol,
            fetch_wait_s=settings.kafka_fetch_wait_s,
        )
        return SubscriptionConsumer(
            BatchAccumulator(subscription, matchers, limits, _new_token),
            matchers,
            ReadBackpressure(settings.lane_buffer_bytes),
            loop,
            open_reader,
            previous,
        )


def _new_token() -> str:
    return secrets.token_hex(8)


def _vitals_of(in_flight: InFlight, longest_turn_s: float) -> IngestLoad:
    return IngestLoad(
        deliveries_in_flight=in_flight.deliveries,
        oldest_unanswered_s=max(0.0, clock.monotonic() - in_flight.oldest_at),
        longest_turn_s=longest_turn_s,
    )


def _delivery_timeouts(settings: Settings) -> DeliveryTimeouts:
    return DeliveryTimeouts(
        claim_timeout_s=settings.claim_timeout_s,
        lease_s=settings.lease_s,
        request_deadline_s=settings.request_deadline_s,
        retry_time_scale=settings.retry_time_scale,
    )


def _writer(settings: Settings, edges: Edges) -> DatabaseWriter:
    return DatabaseWriter(
        edges.database,
        retention_s=settings.activity_retention_s,
        dead_letter_retention_s=settings.dead_letter_retention_s,
        dead_letter_limit=settings.dead_letter_limit,
        wall_clock=clock.wall_clock,
        monotonic=clock.monotonic,
    )


def _loop_bounds(settings: Settings, member_id: str) -> LoopLimits:
    return LoopLimits(
        reply=member_id,
        commit_interval_s=settings.commit_interval_s,
        lane_bytes=settings.lane_buffer_bytes,
        process_bytes=settings.process_buffer_bytes,
        slots=WorkerThreads(first=settings.worker_threads, retry=settings.worker_threads),
    )
