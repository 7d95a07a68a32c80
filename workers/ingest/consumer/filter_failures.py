"""Begins and ends the problem of a subscription whose filters fail on many records."""

from collections.abc import Mapping
from typing import Protocol

from webhookd.flow.monitoring.filter_failures import FilterErrorCounts, FilterFailureDetector
from webhookd.flow.subscription import Subscription
from workers.ingest.consumer.subscription_health import SubscriptionHealth

FILTER_FAILING = "filter_failing"
"""The filters of the subscription fail on many of its records."""


class Owner(Protocol):
    """The part of SubscriptionConsumer that this module uses; every method is for the ingest loop's thread."""

    subscription: Subscription
    health: SubscriptionHealth

    def begin_problem(self, code: str, detail: str = "", *, standing: bool = False) -> None:
        """Begin a problem, or give it another detail."""

    def end_problem(self, code: str) -> None:
        """End the standing problem with this code."""


class FilterFailures:
    """Owned by the ingest loop's thread; continues the problem that the status had before.

    `error_counts` are the filter errors so far, by topic.
    """

    def __init__(self, owner: Owner, error_counts: Mapping[str, FilterErrorCounts]) -> None:
        self._owner = owner
        known = owner.health.problems.detail_of(FILTER_FAILING)
        self._detector = FilterFailureDetector(error_counts, owner.subscription.sources, known)

    def add_records(self, topic: str, records: int) -> None:
        """Note how many records of a topic were processed; begin or end the problem."""
        detail = self._detector.add_poll(topic, records)
        if detail:
            self._owner.begin_problem(FILTER_FAILING, detail, standing=True)
        elif detail is not None:
            self._owner.end_problem(FILTER_FAILING)

    def check(self) -> None:
        """Once a second: end the problem of a filter that failed before a restart and is no longer configured."""
        if not self._detector.failing and FILTER_FAILING in self._owner.health.problems:
            self._owner.end_problem(FILTER_FAILING)
