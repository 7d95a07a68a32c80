"""What the ingest loop tells the metrics; without metrics, calls that do nothing."""

from collections.abc import Collection, Mapping
from typing import Final, Protocol

from webhookd.flow.attempt.attempt_report import Report
from webhookd.flow.dispatch.delivery import Delivery
from workers.ingest.consumer.subscription_consumer import SubscriptionConsumer


class LoopObserver(Protocol):
    """Every method is called on the loop's thread, and returns at once."""

    def checked(self, consumers: Collection[SubscriptionConsumer], not_run: Mapping[str, str]) -> None:
        """A second has passed. `not_run` has subscriptions that cannot be run, with the reasons of their statuses."""

    def stopped(self, consumer: SubscriptionConsumer) -> None:
        """A consumer stops; another one may run the same subscription."""

    def reported(self, delivery: Delivery, report: Report, now: float) -> None:
        """A report about a delivery in flight is about to be applied, at `now` (monotonic seconds)."""

    def acknowledged(self, delivery: Delivery) -> None:
        """The first batches of a delivery were acknowledged."""


class _NotObserved:
    def checked(self, consumers: Collection[SubscriptionConsumer], not_run: Mapping[str, str]) -> None:
        """Do nothing."""

    def stopped(self, consumer: SubscriptionConsumer) -> None:
        """Do nothing."""

    def reported(self, delivery: Delivery, report: Report, now: float) -> None:
        """Do nothing."""

    def acknowledged(self, delivery: Delivery) -> None:
        """Do nothing."""


NOT_OBSERVED: Final[LoopObserver] = _NotObserved()
"""The observer of a process whose metrics are switched off."""
