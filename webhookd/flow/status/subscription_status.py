"""How a subscription is doing, as ingest sees it and its status shows it."""

from dataclasses import dataclass, replace
from enum import StrEnum

from webhookd.flow.status.delivery_status import DeliveryStatus
from webhookd.flow.status.problem import Problem, Problems


class Health(StrEnum):
    """Whether deliveries succeed; a subscription that is switched off is shown as inactive instead."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicStatus:
    """One topic of a subscription: `partitions` is 0 when it does not exist (yet, or any more)."""

    topic: str
    partitions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LostRange:
    """Records that Kafka no longer held when they were to be read: from `first` up to, not including, `end`."""

    topic: str
    partition: int
    first: int
    end: int
    at: float

    @property
    def count(self) -> int:
        """How many offsets the range has; with compaction or transactions some held no record."""
        return self.end - self.first


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionStatus:
    """What ingest last wrote about a subscription; the counters go on from there when it starts again.

    `reason` is a failure code, empty when healthy; `since` the time of the last change of `health`, and
    `failing_since` that of the first failure after the last success (0 while deliveries succeed), seconds since the
    epoch. `last_failure` is the code of the last failed attempt with what the endpoint answered, or with what webhookd
    says where there was no answer; for people. `delivery` is what the deliveries are doing now. `problems` are the
    causes behind `health`, the one that `reason` names first. `lag` counts the records between the watermarks and the
    ends of the partitions; None while the ends cannot be told. `version` is the subscription's, 0 when it is not
    known; `delivered_since_change` says whether something was delivered since its owner last changed it.
    """

    subscription_id: str
    health: Health
    reason: str = ""
    since: float = 0.0
    failing_since: float = 0.0
    last_failure: str = ""
    delivery: DeliveryStatus | None = None
    lag: int | None = None
    problems: tuple[Problem, ...] = ()
    lost_ranges: tuple[LostRange, ...] = ()
    topics: tuple[TopicStatus, ...] = ()
    delivered: int = 0
    filtered: int = 0
    filter_errors: int = 0
    last_filter_error: str = ""
    dead_lettered: int = 0
    version: int = 0
    delivered_since_change: bool = True


def unhealthy(before: SubscriptionStatus, code: str, detail: str, now: float, version: int = 0) -> SubscriptionStatus:
    """The condition of a subscription that cannot be run: a delivery problem, so that the next delivery ends it."""
    problems = Problems(before.problems)
    problems.begin(Problem(code=code, detail=detail, since=now))
    return replace(
        before,
        health=Health.UNHEALTHY,
        reason=problems.reason,
        since=now,
        problems=problems.all,
        lag=None,
        version=version or before.version,
    )
