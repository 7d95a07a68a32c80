"""The problem of an intake whose filters fail again and again: when it begins, what it tells and when it ends."""

from collections.abc import Mapping
from typing import Protocol

from webhookd.flow.monitoring.filter_failures import FilterErrorCounts, FilterFailureDetector
from webhookd.flow.subscription import Subscription
from workers.ingest.consumer.subscription_health import SubscriptionHealth

FILTER_FAILING = "filter_failing"
"""The filters of the subscription cannot judge many of its records."""


class Owner(Protocol):
    """What it asks of its intake."""

    subscription: Subscription
    health: SubscriptionHealth

    def begin_problem(self, code: str, detail: str = "", *, standing: bool = False) -> None:
        """A problem began, or has another detail."""

    def end_problem(self, code: str) -> None:
        """The standing problem is over."""


class FilterFailures:
    """Of one intake, whose filters' errors `counting` counts by topic; goes on with what was stored of it."""

    def __init__(self, owner: Owner, counting: Mapping[str, FilterErrorCounts]) -> None:
        self._owner = owner
        known = owner.health.problems.detail_of(FILTER_FAILING)
        self._detector = FilterFailureDetector(counting, owner.subscription.sources, known)

    def add_records(self, topic: str, records: int) -> None:
        """So many records of the topic were taken."""
        detail = self._detector.add_poll(topic, records)
        if detail:
            self._owner.begin_problem(FILTER_FAILING, detail, standing=True)
        elif detail is not None:
            self._owner.end_problem(FILTER_FAILING)

    def check(self) -> None:
        """Once a second: the filter that failed before a restart may not be there any more."""
        if not self._detector.failing and FILTER_FAILING in self._owner.health.problems:
            self._owner.end_problem(FILTER_FAILING)
