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
    vitals: SubscriptionHealth

    def suffer(self, code: str, detail: str = "", *, standing: bool = False) -> None:
        """A problem began, or has another detail."""

    def overcome(self, code: str) -> None:
        """The standing problem is over."""


class FilterFailures:
    """Of one intake, whose filters' errors `counting` counts by topic; goes on with what was stored of it."""

    def __init__(self, consumer: Owner, counting: Mapping[str, FilterErrorCounts]) -> None:
        self._consumer = consumer
        known = consumer.vitals.problems.detail_of(FILTER_FAILING)
        self._watch = FilterFailureDetector(counting, consumer.subscription.sources, known)

    def took(self, topic: str, records: int) -> None:
        """So many records of the topic were taken."""
        detail = self._watch.add_poll(topic, records)
        if detail:
            self._consumer.suffer(FILTER_FAILING, detail, standing=True)
        elif detail is not None:
            self._consumer.overcome(FILTER_FAILING)

    def look_after(self) -> None:
        """Once a second: the filter that failed before a restart may not be there any more."""
        if not self._watch.failing and FILTER_FAILING in self._consumer.vitals.problems:
            self._consumer.overcome(FILTER_FAILING)
