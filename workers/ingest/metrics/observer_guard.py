"""Keeps errors of the metrics away from the ingest loop: they are logged, and deliveries go on."""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from math import inf
from typing import Final

from webhookd import logs
from webhookd.clock import Monotonic
from webhookd.flow.attempt.attempt_report import Report
from webhookd.flow.dispatch.delivery import Delivery
from workers.ingest.consumer.subscription_consumer import SubscriptionConsumer
from workers.ingest.metrics.loop_observer import NOT_OBSERVED, LoopObserver

LOG_INTERVAL_S: Final = 60.0
"""An error may come back with each report: it is logged once in this time."""

_log = logs.get(__name__)


class GuardedObserver:
    """A LoopObserver that raises nothing, in front of one that may."""

    def __init__(self, observer: LoopObserver, monotonic: Monotonic) -> None:
        self._observer = observer
        self._monotonic = monotonic
        self._logged_at = -inf

    def checked(self, consumers: Collection[SubscriptionConsumer], not_run: Mapping[str, str]) -> None:
        """A second has passed."""
        self._guard(partial(self._observer.checked, consumers, not_run))

    def stopped(self, consumer: SubscriptionConsumer) -> None:
        """A consumer stops."""
        self._guard(partial(self._observer.stopped, consumer))

    def reported(self, delivery: Delivery, report: Report, now: float) -> None:
        """A report is about to be applied."""
        self._guard(partial(self._observer.reported, delivery, report, now))

    def acknowledged(self, delivery: Delivery) -> None:
        """The first batches of a delivery were acknowledged."""
        self._guard(partial(self._observer.acknowledged, delivery))

    def _guard(self, observe: Callable[[], None]) -> None:
        try:
            observe()
        except Exception as error:  # noqa: BLE001 - whatever it is, no delivery may wait for a metric
            now = self._monotonic()
            if now - self._logged_at >= LOG_INTERVAL_S:
                self._logged_at = now
                _log.error("metrics_incomplete", code="metrics_incomplete", exc_info=error)


def guarded(observer: LoopObserver, monotonic: Monotonic) -> LoopObserver:
    """Return the observer with a guard; the one that does nothing as it is."""
    return observer if observer is NOT_OBSERVED else GuardedObserver(observer, monotonic)
