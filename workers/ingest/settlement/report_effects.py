"""Applies the effect of a report or a timeout to the subscription's consumer: counters, lanes, health, dead letters.

effect                     what happens
records delivered          they are counted; a delivery problem is over
lanes to read again        the consumer seeks to their watermarks
circuits opened            the lanes are not read until their next probe; the subscription has a delivery problem
a probe succeeded          the other lanes whose circuits are open are probed at once
a batch exhausted          its records are stored as dead letters; the lanes continue once the rows are committed
the endpoint is gone       the subscription is deactivated
lanes freed                the lanes may dispatch again
"""

from collections.abc import Callable, Mapping
from functools import partial

from webhookd.clock import Monotonic
from webhookd.flow.settlement.exhausted_batch import ExhaustedBatch
from webhookd.flow.settlement.in_flight import InFlightDeliveries, ReportEffect
from workers.ingest.consumer.subscription_consumer import SubscriptionConsumer
from workers.ingest.timer_queue import TimerQueue


class ReportEffects:
    """Owned by the ingest loop's thread; `consumers` are the running ones, by subscription."""

    def __init__(
        self,
        in_flight: InFlightDeliveries,
        consumers: Mapping[str, SubscriptionConsumer],
        timers: TimerQueue,
        monotonic: Monotonic,
        *,
        schedule_dispatch: Callable[[SubscriptionConsumer], None],
        gone: Callable[[SubscriptionConsumer], None],
    ) -> None:
        self._in_flight = in_flight
        self._consumers = consumers
        self._timers = timers
        self._monotonic = monotonic
        self._schedule_dispatch = schedule_dispatch
        self._gone = gone

    def apply(self, consumer: SubscriptionConsumer, effect: ReportEffect, code: str = "") -> None:
        """Apply an effect; `code` is the code of the failure, empty without one."""
        consumer.counters.delivered += effect.delivered
        consumer.status_changed = consumer.status_changed or effect.delivered > 0
        self._read_again(consumer, effect)
        for lane in effect.opened_circuits:
            consumer.pause(lane)
        if effect.opened_circuits or effect.exhausted_batch:
            consumer.begin_problem(code)
        elif effect.delivered:
            consumer.delivery_succeeded()
        if effect.exhausted_batch is not None:
            self._store_dead_letters(consumer, effect.exhausted_batch)
        if effect.endpoint_gone:
            self._gone(consumer)
        if effect.closed_circuits:
            _probe_at_once(consumer)
        if effect.lanes_freed:
            self._schedule_dispatch(consumer)

    def _read_again(self, consumer: SubscriptionConsumer, effect: ReportEffect) -> None:
        consumer.seek(effect.reread)
        for due_at in {
            lane.dispatch_not_before for lane, _ in effect.reread if lane.dispatch_not_before > self._monotonic()
        }:
            # Records that arrive during the lane's pause start no dispatch: schedule one for the end of the pause.
            self._timers.at(due_at, partial(self._schedule_if_running, consumer))

    def _schedule_if_running(self, consumer: SubscriptionConsumer) -> None:
        if self._consumers.get(consumer.subscription.id) is consumer:
            self._schedule_dispatch(consumer)

    def _store_dead_letters(self, consumer: SubscriptionConsumer, exhausted: ExhaustedBatch) -> None:
        def stored() -> None:
            effect = self._in_flight.dead_letters_stored(exhausted.delivery)
            if self._consumers.get(consumer.subscription.id) is consumer:
                self.apply(consumer, effect)

        consumer.undeliverable.dead_letter_batch(exhausted, stored)


def _probe_at_once(consumer: SubscriptionConsumer) -> None:
    """Probe the other lanes whose circuits are open now: a probe succeeded, so the endpoint works again.

    Only a successful probe counts, not the success of a lane that never failed. Otherwise a lane whose batch always
    fails would be probed each time another lane succeeds.
    """
    for lane in consumer.accumulator.lanes.values():
        lane.circuit.probe_at_once()
