"""Begins and ends the problems of a subscription on many of whose records filters or projections fail.

problem              what fails on many records
filter_failing       the filters of the subscription
projection_failing   the projections of the policies under which it runs
"""

from collections.abc import Mapping
from typing import Protocol

from webhookd.flow.authorization.topic_matcher import PolicyMatcher, TopicMatcher
from webhookd.flow.filters.matcher import shown
from webhookd.flow.monitoring.filter_failures import FailureDetector
from webhookd.flow.subscription import Subscription
from workers.ingest.consumer.subscription_health import SubscriptionHealth

FILTER_FAILING = "filter_failing"
"""The filters of the subscription fail on many of its records."""

PROJECTION_FAILING = "projection_failing"
"""The projections of policies cannot be evaluated on many records of the subscription."""


class Owner(Protocol):
    """The part of SubscriptionConsumer that this module uses; every method is for the ingest loop's thread."""

    subscription: Subscription
    health: SubscriptionHealth

    def begin_problem(self, code: str, detail: str = "", *, standing: bool = False) -> None:
        """Begin a problem, or give it another detail."""

    def end_problem(self, code: str) -> None:
        """End the standing problem with this code."""


class FilterFailures:
    """Owned by the ingest loop's thread; continues the problems that the status had before."""

    def __init__(self, owner: Owner, matchers: Mapping[str, TopicMatcher]) -> None:
        self._owner = owner
        detail_of = owner.health.problems.detail_of
        filters = {source.topic: [shown(one) for one in source.jmes_filters] for source in owner.subscription.sources}
        governed = {topic: one for topic, one in matchers.items() if isinstance(one, PolicyMatcher)}
        policies = {topic: one.projections.names for topic, one in governed.items()}
        projections = {topic: one.projections for topic, one in governed.items()}
        self._filters = FailureDetector(matchers, filters, detail_of(FILTER_FAILING))
        self._projections = FailureDetector(projections, policies, detail_of(PROJECTION_FAILING))
        self._governed = frozenset(governed)

    def add_records(self, topic: str, records: int) -> None:
        """Note how many records of a topic were processed; begin or end the problems."""
        self._begin_or_end(FILTER_FAILING, self._filters.add_poll(topic, records))
        if topic in self._governed:
            self._begin_or_end(PROJECTION_FAILING, self._projections.add_poll(topic, records))

    def check(self) -> None:
        """Once a second: end the problem of what failed before a restart and is no longer configured."""
        for code, detector in ((FILTER_FAILING, self._filters), (PROJECTION_FAILING, self._projections)):
            if not detector.failing and code in self._owner.health.problems:
                self._owner.end_problem(code)

    def _begin_or_end(self, code: str, detail: str | None) -> None:
        if detail:
            self._owner.begin_problem(code, detail, standing=True)
        elif detail is not None:
            self._owner.end_problem(code)
