"""The status of a subscription, as ingest writes it and the API shows it."""

from dataclasses import dataclass, replace
from enum import StrEnum

from webhookd.flow.status.delivery_status import STOPPED, DeliveryStatus
from webhookd.flow.status.endpoint_certificate import EndpointCertificate
from webhookd.flow.status.problem import Problem, Problems


class Health(StrEnum):
    """Whether a subscription has a problem; an inactive one is shown as inactive instead."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicStatus:
    """One topic of a subscription; `partitions` is 0 when the topic does not exist."""

    topic: str
    partitions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LostRange:
    """Offsets that Kafka had deleted before they were read: from `first` up to, not including, `end`."""

    topic: str
    partition: int
    first: int
    end: int
    at: float

    @property
    def count(self) -> int:
        """The number of offsets in the range; with compaction or transactions some had no record."""
        return self.end - self.first


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionStatus:
    """The status that ingest wrote last; after a restart the counters continue from it.

    reason                   a reason code, empty while healthy
    since                    time of the last change of `health`, seconds since the epoch
    failing_since            time of the first failure after the last success, 0 while deliveries succeed
    last_failure             code of the last failed attempt, with the endpoint's answer or webhookd's text; for people
    delivery                 the state of the deliveries
    lag                      offsets between the watermarks and the ends of the partitions, None while unknown
    problems                 the causes of `health`, first the one that `reason` names
    version                  the subscription's version, 0 when unknown
    version_delivered        whether something was delivered since the owner last changed the subscription
    endpoint_certificate     the endpoint's certificate, None while unknown
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
    denied: int = 0
    filter_errors: int = 0
    last_filter_error: str = ""
    dead_lettered: int = 0
    version: int = 0
    version_delivered: bool = True
    endpoint_certificate: EndpointCertificate | None = None


def on_hold(before: SubscriptionStatus, problem: Problem, version: int) -> SubscriptionStatus:
    """Return the status of a subscription that does not run because of this problem: nothing else is checked then."""
    same = before.health is Health.UNHEALTHY and before.reason == problem.code
    return replace(
        before,
        health=Health.UNHEALTHY,
        reason=problem.code,
        since=before.since if before.health is Health.UNHEALTHY else problem.since,
        problems=(replace(problem, since=before.problems[0].since) if same and before.problems else problem,),
        failing_since=0.0,
        last_failure="",
        delivery=STOPPED,
        lag=None,
        version=version,
    )


def unhealthy(before: SubscriptionStatus, code: str, detail: str, now: float, version: int = 0) -> SubscriptionStatus:
    """Return the status of a subscription that cannot be run.

    The problem is a delivery problem, so the next successful delivery ends it.
    """
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
