"""Settles deliveries: applies the reports of workers, and handles overdue deliveries, expired leases and due probes."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import inf

from webhookd import logs
from webhookd.flow.attempt.attempt_report import Report
from webhookd.flow.dispatch.delivery import Delivery, DeliveryStage
from webhookd.flow.settlement.exhausted_batch import WORKER_LOST
from webhookd.flow.settlement.in_flight import InFlightDeliveries
from webhookd.flow.settlement.lane_updates import due_probes
from webhookd.flow.settlement.queue_progress import UNKNOWN_PUBLICATION
from webhookd.flow.status.activity_rollup import ActivityRollup
from webhookd.metrics.catalogue.ingest import LEASES_EXPIRED
from workers.ingest.consumer.subscription_consumer import SubscriptionConsumer
from workers.ingest.dispatch.dispatcher import Dispatcher
from workers.ingest.loop_observers import NO_OBSERVERS, LoopObservers
from workers.ingest.settlement.report_effects import ReportEffects
from workers.ingest.timer_queue import TimerQueue

SUSPENDED_AFTER_S = 1.0
"""Sweeps are 0.05 s apart. A longer time than this between two of them means that the process did not run."""

COUNT_S = 0.25
"""How often the deliveries in flight are counted, which takes a pass over all of them."""

PUBLISH_AGAIN_S = 1.0
"""The wait before deliveries are published again after a publication failed; their task may have arrived anyway."""

_log = logs.get(__name__)


class Settlement:
    """Owned by the ingest loop's thread; `consumers` are the running ones, by subscription.

    `gone` is called with a consumer whose endpoint answered 410, `failed` with a consumer whose delivery raised an
    error, `marker_read` with the id of each report about a delivery that is not in flight.
    """

    def __init__(
        self,
        in_flight: InFlightDeliveries,
        dispatcher: Dispatcher,
        consumers: Mapping[str, SubscriptionConsumer],
        timers: TimerQueue,
        *,
        gone: Callable[[SubscriptionConsumer], None],
        failed: Callable[[SubscriptionConsumer, Exception], None],
        marker_read: Callable[[str], None] = lambda _id: None,
        observers: LoopObservers = NO_OBSERVERS,
    ) -> None:
        self._metrics, self._spans = observers.metrics, observers.spans
        self._marker_read = marker_read
        self._in_flight = in_flight
        self._dispatcher = dispatcher
        self._consumers = consumers
        self._monotonic = monotonic = timers.clock
        self._failed = failed
        self._effects = ReportEffects(
            in_flight, consumers, timers, monotonic, schedule_dispatch=self.schedule_dispatch, gone=gone
        )
        self._counted_at = -COUNT_S
        self._swept_at = monotonic()
        self._to_check: dict[str, SubscriptionConsumer] = {}

    def schedule_dispatch(self, consumer: SubscriptionConsumer) -> None:
        """Check the subscription's lanes: something may be ready to be dispatched, now or later."""
        self._to_check[consumer.subscription.id] = consumer
        self._dispatcher.request_dispatch(consumer)

    def forget(self, consumer: SubscriptionConsumer) -> None:
        """Forget a stopped subscription: its deliveries in flight become stale."""
        self._to_check.pop(consumer.subscription.id, None)
        self._dispatcher.forget(consumer)
        self._metrics.stopped(consumer)
        for lane in consumer.accumulator.lanes.values():
            lane.delivery = None

    def settle(self, reports: Sequence[Report], *, late: bool = False) -> None:
        """Apply reports in their order; an error with one affects only its subscription."""
        now = self._monotonic()
        self._in_flight.reports_late = late
        for report in reports:
            try:
                delivery = self._in_flight[report.delivery]
            except KeyError:
                self._in_flight.superseded.reported(report, now)
                self._marker_read(report.delivery)
                continue
            self._guarded(self._consumers.get(delivery.subscription_id), partial(self._settle, delivery, report, now))

    def sweep(self) -> None:
        """Handle what is overdue or due: claims, leases, probes, and records that wait for their batch interval."""
        now = self._monotonic()
        if now - self._swept_at > SUSPENDED_AFTER_S:
            self._in_flight.process_was_suspended(now - self._swept_at)
        self._swept_at = now
        if now - self._counted_at >= COUNT_S:
            self._counted_at = now
            self._dispatcher.count(now)
        unclaimed, lost = self._in_flight.overdue(now)
        if self._dispatcher.publish_again(unclaimed, now):
            _log.info("published_again", deliveries=[delivery.id for delivery in unclaimed[:20]], count=len(unclaimed))
        for delivery in lost:
            self._guarded(self._consumers.get(delivery.subscription_id), partial(self._lease_expired, delivery))
        for consumer in list(self._to_check.values()):
            self._guarded(consumer, partial(self._check_lanes, consumer, now))
        if self._spans is not None:
            self._spans.sweep(self._in_flight)

    def republish_soon(self, deliveries: Sequence[Delivery]) -> None:
        """Publish these again after PUBLISH_AGAIN_S: their publish failed."""
        for delivery in deliveries:
            if delivery.stage is DeliveryStage.QUEUED:  # otherwise the task has arrived, and a lease covers it
                delivery.due_at = self._monotonic() + PUBLISH_AGAIN_S
                delivery.publication_number = UNKNOWN_PUBLICATION

    def _settle(self, delivery: Delivery, report: Report, now: float) -> None:
        done, early = delivery.done, delivery.early_attempts
        self._metrics.reported(delivery, report, now)
        effect = self._in_flight.apply(report, now)
        if delivery.done and not done:
            self._metrics.acknowledged(delivery)
        if report.session and delivery in self._in_flight and delivery.current:
            self._dispatcher.session_opened(report.session, delivery, now)
        if self._spans is not None:
            self._spans.reported(delivery, report, ended=delivery not in self._in_flight)
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
        consumer.stall_check.delivery_ended(report.kind, report.detail)
        _add_calls(consumer.activity_rollup, report, delivery.done - done)
        if report.failure is not None:
            consumer.exchange_failed(report.failure)
        if report.certificate is not None:
            consumer.certificate_seen(report.certificate)
        self._effects.apply(consumer, effect, report.failure.error if report.failure else "")

    def _lease_expired(self, delivery: Delivery) -> None:
        _log.warning(
            "lease_expired",
            code="lease_expired",
            subscription=delivery.subscription_id,
            lanes=[lane.name for lane in delivery.lanes],
            delivery=delivery.id,
            attempt=delivery.attempt,
        )
        if delivery.due_at > -inf:  # otherwise another process has one of its lanes
            LEASES_EXPIRED.inc()
        effect = self._in_flight.worker_lost(delivery, self._monotonic())
        if self._spans is not None:
            self._spans.lost(delivery, ended=delivery not in self._in_flight)
        consumer = self._consumers.get(delivery.subscription_id)
        if consumer is not None:
            self._effects.apply(consumer, effect, WORKER_LOST)

    def _check_lanes(self, consumer: SubscriptionConsumer, now: float) -> None:
        for lane in due_probes(consumer.accumulator.lanes.values(), now):
            consumer.resume(lane)
        due_at = consumer.accumulator.due_at()
        if due_at is not None and due_at <= now:
            self.schedule_dispatch(consumer)
        elif due_at is None and not consumer.has_open_circuit:
            self._to_check.pop(consumer.subscription.id, None)

    def _guarded(self, consumer: SubscriptionConsumer | None, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:  # noqa: BLE001 - any error here is one of this subscription only
            if consumer is None:
                _log.exception("settlement_failed")
            else:
                self._failed(consumer, error)


def _add_calls(rollup: ActivityRollup, report: Report, calls: int) -> None:
    if calls or report.success is not None:
        rollup.succeeded(calls, report.success)
    if report.failure is not None:
        rollup.failed(report.failure)
