"""What reports and silence do to deliveries, their lanes and their subscriptions."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from webhookd import logs
from webhookd.clock import Monotonic
from webhookd.flow.attempt.attempt_report import Report
from webhookd.flow.dispatch.delivery import Delivery, DeliveryStage
from webhookd.flow.settlement.exhausted_batch import WORKER_LOST, ExhaustedBatch
from webhookd.flow.settlement.in_flight import InFlightDeliveries, ReportEffect
from webhookd.flow.settlement.lane_updates import due_probes
from webhookd.flow.settlement.queue_progress import UNKNOWN_PUBLICATION
from webhookd.flow.status.activity_rollup import ActivityRollup
from workers.ingest.consumer.subscription_consumer import SubscriptionConsumer
from workers.ingest.dispatch.dispatcher import Dispatcher
from workers.ingest.timer_queue import TimerQueue

SLEPT_S = 1.0
"""Between two sweeps, which are a twentieth of a second apart: this process did not run (stopped, or starved)."""

COUNT_S = 0.25
"""How often all that is under way is counted, which takes a pass over all in flight."""

PUBLISH_AGAIN_S = 1.0
"""After a publish that failed, which may have arrived all the same."""

_log = logs.get(__name__)


class Settlement:
    """Owned by the ingest loop's thread; `intakes` are those that run, by subscription."""

    def __init__(
        self,
        in_flight: InFlightDeliveries,
        dispatcher: Dispatcher,
        consumers: Mapping[str, SubscriptionConsumer],
        timers: TimerQueue,
        monotonic: Monotonic,
        *,
        gone: Callable[[SubscriptionConsumer], None],
        failed: Callable[[SubscriptionConsumer, Exception], None],
    ) -> None:
        self._in_flight = in_flight
        self._dispatcher = dispatcher
        self._consumers = consumers
        self._timers = timers
        self._monotonic = monotonic
        self._gone = gone
        self._failed = failed
        self._counted_at = -COUNT_S
        self._swept_at = monotonic()
        self._attention: dict[str, SubscriptionConsumer] = {}

    def schedule_dispatch(self, consumer: SubscriptionConsumer) -> None:
        """There may be something to dispatch, now or when its time comes."""
        self._attention[consumer.subscription.id] = consumer
        self._dispatcher.request_dispatch(consumer)

    def forget(self, consumer: SubscriptionConsumer) -> None:
        """It is not run any more: what it has in flight is stale from here on."""
        self._attention.pop(consumer.subscription.id, None)
        self._dispatcher.forget(consumer)
        for lane in consumer.accumulator.lanes.values():
            lane.delivery = None

    def settle(self, reports: Sequence[Report], *, late: bool = False) -> None:
        """Apply reports in their order; what goes wrong with one is its subscription's alone."""
        now = self._monotonic()
        self._in_flight.reports_late = late
        for report in reports:
            try:
                delivery = self._in_flight[report.delivery]
            except KeyError:
                continue
            self._guarded(self._consumers.get(delivery.subscription_id), partial(self._settle, delivery, report, now))

    def _settle(self, delivery: Delivery, report: Report, now: float) -> None:
        done, early = delivery.done, delivery.early_attempts
        effect = self._in_flight.apply(report, now)
        if delivery.early_attempts > early:
            _log.warning(
                "retry_too_early",
                delivery=delivery.id,
                attempt=report.attempt,
                due_in_s=round(delivery.claimable_at - now, 3),
            )
        consumer = self._consumers.get(delivery.subscription_id)
        if consumer is None or consumer.subscription.version != delivery.version:
            return
        consumer.stall_check.delivery_ended(report.kind)
        _fold(consumer.activity_rollup, report, delivery.done - done)
        if report.failure is not None:
            consumer.exchange_failed(report.failure)
        self._apply(consumer, effect, report.failure.error if report.failure else "")

    def sweep(self) -> None:
        """What is overdue: claims, leases, probes and leftovers."""
        now = self._monotonic()
        if now - self._swept_at > SLEPT_S:
            self._in_flight.process_was_suspended(now - self._swept_at)
        self._swept_at = now
        if now - self._counted_at >= COUNT_S:
            self._counted_at = now
            self._dispatcher.count(now)
        unclaimed, lost = self._in_flight.overdue(now)
        if self._dispatcher.publish_again(unclaimed, now):
            _log.info("published_again", deliveries=[delivery.id for delivery in unclaimed[:20]], count=len(unclaimed))
        for delivery in lost:
            self._guarded(self._consumers.get(delivery.subscription_id), partial(self._lost, delivery))
        for consumer in list(self._attention.values()):
            self._guarded(consumer, partial(self._check_consumer, consumer, now))

    def _check_consumer(self, consumer: SubscriptionConsumer, now: float) -> None:
        for lane in due_probes(consumer.accumulator.lanes.values(), now):
            consumer.resume(lane)
        due_at = consumer.accumulator.due_at()
        if due_at is not None and due_at <= now:
            self.schedule_dispatch(consumer)
        elif due_at is None and not consumer.has_open_circuit:
            self._attention.pop(consumer.subscription.id, None)

    def _guarded(self, consumer: SubscriptionConsumer | None, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this subscription's alone
            if consumer is None:
                _log.exception("settlement_failed")
            else:
                self._failed(consumer, error)

    def republish_soon(self, deliveries: Sequence[Delivery]) -> None:
        """These may not have been published."""
        for delivery in deliveries:
            if delivery.stage is DeliveryStage.QUEUED:  # a publish that failed may have arrived, and its lease runs
                delivery.due_at = self._monotonic() + PUBLISH_AGAIN_S
                delivery.publication_number = UNKNOWN_PUBLICATION

    def _apply(self, consumer: SubscriptionConsumer, effect: ReportEffect, code: str = "") -> None:
        """`code` is the failure's, "" where nothing failed."""
        consumer.counters.delivered += effect.delivered
        consumer.status_changed = consumer.status_changed or effect.delivered > 0
        consumer.seek(effect.reread)
        for rested_at in {
            lane.dispatch_not_before for lane, _ in effect.reread if lane.dispatch_not_before > self._monotonic()
        }:
            # What is read again before its lane has rested touches nothing: look once more when it has.
            self._timers.at(rested_at, partial(self._schedule_if_running, consumer))
        for lane in effect.opened_circuits:
            consumer.pause(lane)
        if effect.opened_circuits or effect.exhausted_batch:
            consumer.begin_problem(code)
        elif effect.delivered:
            consumer.delivery_succeeded()
        if effect.exhausted_batch is not None:
            self._bury(consumer, effect.exhausted_batch)
        if effect.endpoint_gone:
            self._gone(consumer)
        if effect.closed_circuits:
            _probe_now(consumer)
        if effect.lanes_freed:
            self.schedule_dispatch(consumer)

    def _schedule_if_running(self, consumer: SubscriptionConsumer) -> None:
        if self._consumers.get(consumer.subscription.id) is consumer:
            self.schedule_dispatch(consumer)

    def _bury(self, consumer: SubscriptionConsumer, burial: ExhaustedBatch) -> None:
        def safe() -> None:
            effect = self._in_flight.dead_letters_stored(burial.delivery)
            if self._consumers.get(consumer.subscription.id) is consumer:
                self._apply(consumer, effect)

        consumer.undeliverable.dead_letter_batch(burial, safe)

    def _lost(self, delivery: Delivery) -> None:
        _log.warning(
            "lease_expired",
            code="lease_expired",
            subscription=delivery.subscription_id,
            lanes=[lane.name for lane in delivery.lanes],
            delivery=delivery.id,
            attempt=delivery.attempt,
        )
        effect = self._in_flight.worker_lost(delivery, self._monotonic())
        consumer = self._consumers.get(delivery.subscription_id)
        if consumer is not None:
            self._apply(consumer, effect, WORKER_LOST)


def _fold(fold: ActivityRollup, report: Report, calls: int) -> None:
    if calls or report.success is not None:
        fold.succeeded(calls, report.success)
    if report.failure is not None:
        fold.failed(report.failure)


def _probe_now(consumer: SubscriptionConsumer) -> None:
    """A probe succeeded, so the endpoint answers again, and the other held lanes need not wait.

    A success of a lane that never failed does not say so: a poisonous batch beside it would be probed all the time.
    """
    for lane in consumer.accumulator.lanes.values():
        lane.circuit.probe_at_once()
