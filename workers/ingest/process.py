"""An ingest process: what it is made of, and the order in which it starts and stops.

start   publisher, recorder, graveyard, loop, reports, control, topics, slots, vigil, upkeep
        who is called is there before who calls
stop    control, topics, slots, loop (drains), upkeep, reports, publisher, recorder, graveyard, vigil
        nothing new is begun; what is in flight is settled while its reports still arrive; then the last rows
"""

import random
import secrets
from collections.abc import Callable, Sequence
from functools import partial
from queue import Empty, SimpleQueue
from threading import Event, Thread

from celery import Celery

from webhookd import clock, logs
from webhookd.edges.dead_letter_topics import DeadLetterTopics
from webhookd.edges.kafka_offsets import KafkaOffsets
from webhookd.edges.kafka_reader import KafkaReader
from webhookd.errors import InvalidInput, QueueUnavailable, UnusableSubscription
from webhookd.flow.administration import SETTLE_S
from webhookd.flow.allowance import Slots
from webhookd.flow.condition import Condition, Health, unhealthy
from webhookd.flow.delivery import Delivery
from webhookd.flow.dispatches import Dispatches, Leases
from webhookd.flow.envelope import CONTENT_TYPE
from webhookd.flow.filters.matcher import Matcher
from webhookd.flow.report import by_our_clock
from webhookd.flow.route import Limits, Route
from webhookd.flow.subscription import Subscription
from webhookd.flow.target import Target, request_head
from webhookd.flow.throttle import Throttle
from webhookd.settings import Settings
from webhookd.store.subscriptions import Loaded
from webhookd.store.system import Vitals
from workers.edges import Edges
from workers.ingest.cadence import Clocks, LoopBounds
from workers.ingest.control import Control
from workers.ingest.graveyard import Graveyard
from workers.ingest.intake import Intake
from workers.ingest.loop import Companions, IngestLoop
from workers.ingest.publisher import Publisher
from workers.ingest.recorder import Recorder
from workers.ingest.slot_watch import SlotWatch
from workers.ingest.topic_watch import TopicWatch
from workers.ingest.upkeep import Upkeep
from workers.ingest.vigil import Vigil

REPORT_WAIT_S = 0.5
BACK_OFF_S = 0.5
VITALS_S = 1.0

_log = logs.get(__name__)


class IngestProcess:
    """Runs this process' share of the subscriptions, from `start` to `stop`."""

    def __init__(self, settings: Settings, edges: Edges, app: Celery) -> None:
        self._settings = settings
        self._edges = edges
        self._group_protocol = "consumer" if settings.kafka_group_protocol == "auto" else settings.kafka_group_protocol
        self.member_id = secrets.token_hex(8)
        self._stopping = Event()
        self._recorder = _recorder(settings, edges)
        self._dispatches = Dispatches(_leases(settings), _new_token, random.random)
        self._publisher = Publisher(app, edges.board, unknown=self._unknown)
        self._graveyard = Graveyard(DeadLetterTopics(settings.kafka_bootstrap_servers))
        self._topics = TopicWatch(
            settings.kafka_bootstrap_servers,
            interval_s=settings.commit_interval_s,
            in_use=lambda: self.loop.topics_in_use,
            saw=lambda seen: self.loop.call(partial(self.loop.saw_topics, seen)),
        )
        self.loop = IngestLoop(
            bounds=_loop_bounds(settings, self.member_id),
            clocks=Clocks(monotonic=clock.monotonic, wall=clock.wall_clock),
            dispatches=self._dispatches,
            companions=Companions(publisher=self._publisher, recorder=self._recorder, graveyard=self._graveyard),
            look=self._topics.look,
            open_intake=self._open_intake,
            never_joined=self._fall_back,
        )
        self._control = Control(
            edges.database,
            self,
            member_id=self.member_id,
            member_timeout_s=settings.ingest_member_timeout_s,
            interval_s=settings.control_read_interval_s,
            listen=edges.announcements.run,
        )
        self._upkeep = Upkeep(
            edges.database,
            KafkaOffsets(settings.kafka_bootstrap_servers),
            member_id=self.member_id,
            member_timeout_s=settings.ingest_member_timeout_s,
            offsets_every_s=settings.offset_upkeep_s,
            protocol=lambda: self._group_protocol,
            monotonic=clock.monotonic,
        )
        self._slots = SlotWatch(edges.board, ingests=lambda: self._control.alive_count, share=self.loop.share)
        self._reports = Thread(target=self._read_reports, name="reports", daemon=True)
        self._vigil = Vigil(settings, edges, member_id=self.member_id, vitals=self._vitals)

    def start(self) -> None:
        """Start every thread; returns at once."""
        self._publisher.start()
        self._recorder.start()
        self._graveyard.start()
        self.loop.start()
        self._reports.start()
        self._control.start()
        self._topics.start()
        self._slots.start()
        self._vigil.start()
        self._upkeep.start()
        _log.info("ingest_started", member=self.member_id, group_protocol=self._group_protocol)

    def stop(self, budget_s: float) -> None:
        """Drain within the budget; nothing is lost when it is too short."""
        self._control.stop()
        self._topics.stop()
        self._slots.stop()
        self.loop.stop(budget_s)
        self._upkeep.stop()
        self._stopping.set()
        self._reports.join(REPORT_WAIT_S + 5.0)
        self._publisher.stop(5.0)
        self._recorder.stop(5.0)
        self._graveyard.stop(5.0)
        self._vigil.stop(5.0)
        _log.info("ingest_stopped", member=self.member_id)

    def run(self, id_: str, version: int, found: Loaded, previous: Condition | None) -> None:
        """Run this version of a subscription; one that cannot be used is unhealthy with the reason."""
        match found:
            case UnusableSubscription():
                self._refuse(id_, version, found, previous)
            case Subscription(active=False):
                self.leave(id_)
            case _:
                self.loop.call(partial(self._start, found, previous))

    def leave(self, id_: str) -> None:
        """Stop running it."""
        self.loop.call(partial(self.loop.drop, id_))

    def go_offline(self, age_s: float) -> None:
        """Stop everything: what is in flight may be settled until `SETTLE_S` after the switch."""
        _log.warning("went_offline", age_s=round(age_s, 3))
        self.loop.call(partial(self.loop.fall_asleep, max(0.0, SETTLE_S - age_s)))

    def go_online(self) -> None:
        """Go on from the committed positions."""
        _log.warning("went_online")
        self.loop.call(self._wake)

    def _wake(self) -> None:
        for subscription, condition in self.loop.wake():
            self._start(subscription, condition)

    def _vitals(self) -> Vitals | None:
        """How this process is, as the loop's thread says; None when it does not say so in time."""
        answers: SimpleQueue[Vitals] = SimpleQueue()
        self.loop.call(lambda: answers.put(_vitals_of(self._dispatches)))
        try:
            return answers.get(timeout=VITALS_S)
        except Empty:
            return None

    def _unknown(self, deliveries: Sequence[Delivery]) -> None:
        self.loop.unknown(deliveries)

    def _fall_back(self) -> None:
        """A consumer failed for good before it joined its group: brokers before 4.0 do not know the new protocol."""
        if self._settings.kafka_group_protocol == "auto" and self._group_protocol != "classic":
            self._group_protocol = "classic"
            _log.warning("group_protocol_fell_back", group_protocol=self._group_protocol)

    def _start(self, subscription: Subscription, previous: Condition | None) -> None:
        try:
            self.loop.start_with(subscription, previous)
        except UnusableSubscription as error:
            self._refuse(subscription.id, subscription.version, error, previous)

    def _refuse(self, id_: str, version: int, error: UnusableSubscription, previous: Condition | None) -> None:
        self.leave(id_)
        _log.error("subscription_unusable", code=error.code, subscription=id_, version=version, detail=error.detail)
        before = previous or Condition(subscription_id=id_, health=Health.HEALTHY)
        self._recorder.condition(unhealthy(before, error.code, error.detail, clock.wall_clock()))

    def _open_intake(self, subscription: Subscription, previous: Condition | None, loop: IngestLoop) -> Intake:
        settings = self._settings
        try:
            matchers = {source.topic: Matcher(source.jmes_filters) for source in subscription.sources}
            target = Target.parse(subscription.destination.url)
            request_head(target, subscription.destination.headers, CONTENT_TYPE)
        except InvalidInput as error:
            raise UnusableSubscription(error.detail) from error
        limits = Limits(delivery_bytes=settings.delivery_bytes, delivery_target_s=settings.delivery_target_s)
        open_reader: Callable[..., KafkaReader] = partial(
            KafkaReader,
            settings.kafka_bootstrap_servers,
            subscription.consumer_group,
            list(matchers),
            self._group_protocol,
            fetch_wait_s=settings.kafka_fetch_wait_s,
        )
        return Intake(
            Route(subscription, matchers, limits, _new_token),
            matchers,
            Throttle(settings.lane_buffer_bytes),
            loop,
            open_reader,
            previous,
        )

    def _read_reports(self) -> None:
        after = "0"
        while not self._stopping.is_set():
            try:
                reports, after = self._edges.board.reports(self.member_id, after, REPORT_WAIT_S)
            except QueueUnavailable as error:
                _log.warning("reports_unreadable", code=error.code, detail=error.detail)
                self._stopping.wait(BACK_OFF_S)
                continue
            except Exception:  # noqa: BLE001 - the top of the thread: without reports everything would be sent again
                _log.exception("reports_failed")
                self._stopping.wait(BACK_OFF_S)
                continue
            if reports:
                now = clock.wall_clock()
                self.loop.reported([by_our_clock(report, now) for report in reports])


def _new_token() -> str:
    return secrets.token_hex(8)


def _vitals_of(dispatches: Dispatches) -> Vitals:
    oldest_s = max(0.0, clock.monotonic() - dispatches.oldest_at)
    return Vitals(deliveries_in_flight=len(dispatches), oldest_unanswered_s=oldest_s)


def _leases(settings: Settings) -> Leases:
    return Leases(
        claim_timeout_s=settings.claim_timeout_s,
        lease_s=settings.lease_s,
        request_deadline_s=settings.request_deadline_s,
        retry_time_scale=settings.retry_time_scale,
    )


def _recorder(settings: Settings, edges: Edges) -> Recorder:
    return Recorder(
        edges.database,
        retention_s=settings.activity_retention_s,
        dead_letter_retention_s=settings.dead_letter_retention_s,
        wall_clock=clock.wall_clock,
    )


def _loop_bounds(settings: Settings, member_id: str) -> LoopBounds:
    return LoopBounds(
        reply=member_id,
        commit_interval_s=settings.commit_interval_s,
        lane_bytes=settings.lane_buffer_bytes,
        process_bytes=settings.process_buffer_bytes,
        slots=Slots(first=settings.worker_threads, retry=settings.worker_threads),
    )
