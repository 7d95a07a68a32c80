"""The health of one subscription: its problems, counters and lost ranges. Its status is made from these."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from operator import sub
from typing import NamedTuple

from webhookd.errors import IngestFull, TopicNotAllowed, UnusableSubscription
from webhookd.flow.attempt.attempt_report import LoggedExchange
from webhookd.flow.attempt.response_body import text_of
from webhookd.flow.dispatch.delivery import Lane
from webhookd.flow.dispatch.endpoint_verification import EndpointVerification
from webhookd.flow.offsets.topic_metadata import Topics
from webhookd.flow.status.activity import Activity, Event
from webhookd.flow.status.delivery_status import (
    STARTING,
    DeliveryState,
    DeliveryStatus,
    FailedAttempt,
    delivery_status,
    unverified_status,
)
from webhookd.flow.status.endpoint_certificate import EndpointCertificate
from webhookd.flow.status.problem import Problem, Problems
from webhookd.flow.status.subscription_status import Health, LostRange, SubscriptionStatus, TopicStatus

CONSUMER_FAILED = "consumer_failed"
"""Reading failed. If the consumer had started, this is a standing problem, which ends when the positions of all lanes
have been known for a while (stall_check.py). If the consumer could not be made, it ends when the consumer starts."""

NOT_ALLOWED = TopicNotAllowed.code
"""No policy allows the subscription's tenant to read one of its topics."""

POLICIES_OUTDATED = "policies_outdated"
"""The policies could not be read for longer than the setting `policy_max_age_s`."""

INGEST_FULL = IngestFull.code
"""The ingest process already runs as many subscriptions as it can (workers/ingest/subscription_limit.py)."""

HELD = frozenset({NOT_ALLOWED, POLICIES_OUTDATED, INGEST_FULL})
"""A subscription with one of these problems is not run; it has no other problem meanwhile."""

OVER_AT_START = frozenset({UnusableSubscription.code, CONSUMER_FAILED, *HELD})
"""Problems that prevent a start; they are over when the subscription has started."""

UNHEALTHY_AFTER_S = 300.0
"""A batch that has failed for this long makes its subscription unhealthy, even if it has retries left."""

LOST_RANGES = 20
"""The status shows at most so many of the newest lost ranges. The log has all of them."""

ANSWER_CHARACTERS = 200

TOPIC_MISSING = "topic_missing"
"""A topic of the subscription does not exist, not yet or not any more: none of its records can be delivered."""


class RecordIncrements(NamedTuple):
    """How many records were added to each of the counters of a subscription."""

    read: int
    matched: int
    filtered: int
    denied: int
    delivered: int
    dead_lettered: int
    lost: int


@dataclass(slots=True)
class Counters:
    """Numbers of records since the subscription was registered; `filter_errors` are those of earlier runs only.

    `read`, `matched` and `lost` begin at 0 with each consumer.
    """

    delivered: int = 0
    filtered: int = 0
    denied: int = 0
    dead_lettered: int = 0
    filter_errors: int = 0
    read: int = 0
    matched: int = 0
    lost: int = 0
    _taken: RecordIncrements = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Begin to count for `take_increments`: what came before was counted by another consumer."""
        self._taken = self._numbers()

    def take_increments(self) -> RecordIncrements | None:
        """Return what was added since the last call, or since this was made; None if it is nothing."""
        numbers, before = self._numbers(), self._taken
        if numbers == before:
            return None
        self._taken = numbers
        return RecordIncrements._make(map(sub, numbers, before))

    def _numbers(self) -> RecordIncrements:
        return RecordIncrements(
            read=self.read,
            matched=self.matched,
            filtered=self.filtered,
            denied=self.denied,
            delivered=self.delivered,
            dead_lettered=self.dead_lettered,
            lost=self.lost,
        )


@dataclass(slots=True)
class SubscriptionHealth:
    """Owned by the ingest loop's thread. `since` is when `state` last changed, wall time."""

    subscription_id: str
    since: float
    version: int = 0
    version_delivered: bool = True
    counters: Counters = field(default_factory=Counters)
    problems: Problems = field(default_factory=Problems)
    failure: FailedAttempt | None = None
    delivery: DeliveryStatus = STARTING
    lag: int | None = None
    topics: dict[str, int] = field(default_factory=dict)
    lost_ranges: list[LostRange] = field(default_factory=list)
    endpoint_certificate: EndpointCertificate | None = None

    @property
    def state(self) -> Health:
        """The health: unhealthy while there is a problem."""
        return Health.UNHEALTHY if self.problems else Health.HEALTHY

    @property
    def reason(self) -> str:
        """The code of the problem that is shown first."""
        return self.problems.reason

    @property
    def last_code(self) -> str:
        """The code of the last failed attempt."""
        return self.failure.code if self.failure else ""

    def change_problems(self, change: Callable[[Problems], bool], now: float) -> Activity | None:
        """Change the problems; returns the event for the recent activity, None when health and reason stay the same."""
        before = (self.state, self.reason)
        change(self.problems)
        if (self.state, self.reason) == before:
            return None
        if self.state is not before[0]:
            self.since = now
        healthy = self.state is Health.HEALTHY
        event = Event.HEALTHY if healthy else Event.UNHEALTHY
        return Activity(subscription_id=self.subscription_id, at=now, event=event, succeeded=healthy, error=self.reason)

    def exchange_failed(self, failure: LoggedExchange) -> None:
        """Keep the response of a failed HTTP exchange, to be shown in the status."""
        self.failure = FailedAttempt(
            code=failure.error,
            at=failure.at,
            status=failure.status,
            answer=text_of(failure.head, failure.body)[:ANSWER_CHARACTERS].strip(),
            detail=failure.detail[:ANSWER_CHARACTERS],
        )

    def add_lost_range(self, lost: LostRange) -> None:
        """Add a range of offsets that were not read and that Kafka no longer holds."""
        self.lost_ranges = [*self.lost_ranges, lost][-LOST_RANGES:]

    def failing_too_long(self, lanes: Collection[Lane], now: float) -> bool:
        """Whether a healthy subscription has a batch that has failed for UNHEALTHY_AFTER_S."""
        since = failing_since(lanes)
        failed = self.state is Health.HEALTHY and since > 0.0 and bool(self.last_code)
        return failed and now - since >= UNHEALTHY_AFTER_S

    def status(self, lanes: Collection[Lane]) -> SubscriptionStatus:
        """The status, without the filter errors of this run."""
        unverified = self.delivery.state is DeliveryState.UNVERIFIED
        failed = self.state is Health.UNHEALTHY or failing_since(lanes) or unverified
        failure = self.failure if failed else None
        return SubscriptionStatus(
            subscription_id=self.subscription_id,
            health=self.state,
            reason=self.reason,
            since=self.since,
            failing_since=failing_since(lanes),
            last_failure=str(failure or ""),
            delivery=replace(self.delivery, last_failure=failure),
            lag=self.lag,
            problems=self.problems.all,
            lost_ranges=tuple(self.lost_ranges),
            topics=tuple(TopicStatus(topic=t, partitions=n) for t, n in self.topics.items()),
            delivered=self.counters.delivered,
            filtered=self.counters.filtered,
            denied=self.counters.denied,
            filter_errors=self.counters.filter_errors,
            dead_lettered=self.counters.dead_lettered,
            version=self.version,
            version_delivered=self.version_delivered,
            endpoint_certificate=self.endpoint_certificate,
        )

    def update_delivery_status(
        self,
        lanes: Collection[Lane],
        max_attempts: int,
        *,
        monotonic: float,
        wall: float,
        limited_by: str = "",
        verification: EndpointVerification | None = None,
    ) -> bool:
        """Update the state of the deliveries; returns whether it has changed."""
        before = self.delivery
        if verification is None:
            found = delivery_status(lanes, max_attempts, monotonic=monotonic, wall=wall)
        else:
            found = unverified_status(lanes, verification, monotonic=monotonic, wall=wall)
        self.delivery = replace(found, limited_by=limited_by)
        return self.delivery.differs(before)

    @property
    def missing_topics(self) -> list[str]:
        """The topics that do not exist, according to the latest topic metadata."""
        return sorted(topic for topic, partitions in self.topics.items() if partitions == 0)

    def update_topics(self, found: Topics, sources: Collection[str]) -> bool:
        """Update the number of partitions of each topic that was described; returns whether any has changed.

        The brokers do not describe a topic that is denied; whether it exists is unknown.
        """
        described = {topic: found.partitions[topic] for topic in sources if topic in found.partitions}
        topics = {
            topic: partitions
            for topic, partitions in (self.topics | described).items()
            if partitions or topic not in found.denied
        }
        changed = topics != self.topics
        self.topics = topics
        return changed


def failing_since(lanes: Collection[Lane]) -> float:
    """When the lane that has failed for longest began to fail, wall time; 0 while none fails."""
    return min((lane.circuit.failing_since for lane in lanes if lane.circuit.failing_since), default=0.0)


def resumed(
    subscription_id: str, version: int, previous: SubscriptionStatus | None, now: float, *, url: str = ""
) -> SubscriptionHealth:
    """Return the health that continues from the status before the start: an unhealthy subscription stays unhealthy.

    Problems of an older version are dropped, since the owner has changed the subscription. Problems that prevent a
    start (OVER_AT_START) are dropped too, unless they are standing problems. The certificate of the endpoint is kept if
    the `url` of this version has the same endpoint.
    """
    fresh = SubscriptionHealth(subscription_id=subscription_id, version=version, since=now)
    if previous is None:
        return fresh
    counters = Counters(
        delivered=previous.delivered,
        filtered=previous.filtered,
        denied=previous.denied,
        dead_lettered=previous.dead_lettered,
        filter_errors=previous.filter_errors,
    )
    certificate = previous.endpoint_certificate
    kept = replace(
        fresh,
        counters=counters,
        lost_ranges=list(previous.lost_ranges),
        endpoint_certificate=certificate if certificate is not None and certificate.belongs_to(url) else None,
    )
    if previous.version not in {0, version}:
        return replace(kept, version_delivered=False)
    problems = [problem for problem in _problems(previous) if problem.standing or problem.code not in OVER_AT_START]
    return replace(
        kept,
        version_delivered=previous.version_delivered,
        problems=Problems(problems),
        since=previous.since,
        failure=previous.delivery.last_failure if previous.delivery else None,
    )


def _problems(previous: SubscriptionStatus) -> tuple[Problem, ...]:
    """Return the problems of a status; a status that was written before migration 0003 has only its reason."""
    if previous.problems or previous.health is Health.HEALTHY:
        return previous.problems
    code = previous.reason
    return (Problem(code=code, since=previous.since, standing=code == TOPIC_MISSING),)
