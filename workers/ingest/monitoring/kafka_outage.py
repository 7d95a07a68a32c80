"""What the statuses of a process' subscriptions say while Kafka does not answer it.

after        the status
the bound    lag unknown (`ingest_kafka_timeout_s`; sooner, the last lag known is shown)
30 s         unhealthy, `kafka_unavailable`, until Kafka answers
"""

from collections.abc import Iterable
from dataclasses import replace

from webhookd.errors import KafkaUnavailable
from webhookd.flow.monitoring.kafka_reachability import KafkaReachability
from webhookd.flow.status.problem import Problem, Problems
from webhookd.flow.status.subscription_status import Health, SubscriptionStatus
from webhookd.flow.subscription import Subscription
from workers.ingest.consumer.subscription_consumer import SubscriptionConsumer

UNHEALTHY_AFTER_S = 30.0
"""Longer than a cluster's restart: each owner gets a mail then. Operators are told after seconds
(flow/monitoring/system_faults.py)."""


def show(
    consumers: Iterable[SubscriptionConsumer], reachability: KafkaReachability, now: float, bound_s: float
) -> None:
    """Begin or end the problem of what runs; on the ingest loop's thread."""
    silent_s = reachability.unreachable_s(now)
    for consumer in consumers:
        known = KafkaUnavailable.code in consumer.health.problems
        consumer.kafka_unreachable = silent_s >= bound_s
        if silent_s >= UNHEALTHY_AFTER_S and not known:
            consumer.begin_problem(KafkaUnavailable.code, reachability.detail, standing=True)
        elif reachability.answered_since is not None and known:
            consumer.end_problem(KafkaUnavailable.code)


def status_of(
    subscription: Subscription,
    before: SubscriptionStatus | None,
    reachability: KafkaReachability,
    now: float,
    wall_now: float,
) -> SubscriptionStatus | None:
    """The condition of what cannot be started because Kafka has never answered; None while it stays as it is."""
    if reachability.unreachable_s(now) < UNHEALTHY_AFTER_S:
        return None
    latest = before or SubscriptionStatus(subscription_id=subscription.id, health=Health.HEALTHY)
    problems = Problems(latest.problems)
    if KafkaUnavailable.code in problems:
        return None
    problems.begin(Problem(code=KafkaUnavailable.code, detail=reachability.detail, since=wall_now, standing=True))
    since = latest.since if latest.health is Health.UNHEALTHY else wall_now
    return replace(
        latest, health=Health.UNHEALTHY, reason=problems.reason, since=since, lag=None, problems=problems.all
    )
