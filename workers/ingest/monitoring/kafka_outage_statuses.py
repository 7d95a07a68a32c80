"""The statuses of this process's subscriptions while Kafka does not answer the process.

after                      the status shows
ingest_kafka_timeout_s     an unknown lag; before that, the last known lag
30 s                       unhealthy until Kafka answers: `kafka_unavailable`, or `kafka_authentication_failed` when
                           it refuses the login or a certificate
"""

from collections.abc import Iterable
from dataclasses import replace

from webhookd.errors import KafkaAuthenticationFailed, KafkaUnavailable
from webhookd.flow.monitoring.kafka_reachability import KafkaReachability
from webhookd.flow.status.problem import Problem, Problems
from webhookd.flow.status.subscription_status import Health, SubscriptionStatus
from webhookd.flow.subscription import Subscription
from workers.ingest.consumer.subscription_consumer import SubscriptionConsumer

CODES = (KafkaUnavailable.code, KafkaAuthenticationFailed.code)
"""At most one of them is the problem of a subscription: an outage may change from one to the other."""

UNHEALTHY_AFTER_S = 30.0
"""Longer than a restart of the cluster, because each owner gets a mail after this time. Operators get a mail after a
few seconds (flow/monitoring/system_faults.py)."""


def update_problem(
    consumers: Iterable[SubscriptionConsumer], reachability: KafkaReachability, now: float, bound_s: float
) -> None:
    """Begin or end the problem of the running subscriptions; on the ingest loop's thread."""
    unreachable_s = reachability.unreachable_s(now)
    for consumer in consumers:
        known = [code for code in CODES if code in consumer.health.problems]
        consumer.kafka_unreachable = unreachable_s >= bound_s
        if unreachable_s >= UNHEALTHY_AFTER_S and reachability.code not in known:
            consumer.begin_problem(reachability.code, reachability.detail, standing=True)
        for code in known:
            if reachability.answered_since is not None or code != reachability.code:
                consumer.end_problem(code)


def status_before_start(
    subscription: Subscription,
    before: SubscriptionStatus | None,
    reachability: KafkaReachability,
    now: float,
    wall_now: float,
) -> SubscriptionStatus | None:
    """Return the status of a subscription that waits for Kafka's first answer; None while it does not change."""
    if reachability.unreachable_s(now) < UNHEALTHY_AFTER_S:
        return None
    latest = before or SubscriptionStatus(subscription_id=subscription.id, health=Health.HEALTHY)
    problems = Problems(latest.problems)
    if reachability.code in problems:
        return None
    for code in CODES:
        problems.end(code)
    problems.begin(Problem(code=reachability.code, detail=reachability.detail, since=wall_now, standing=True))
    since = latest.since if latest.health is Health.UNHEALTHY else wall_now
    return replace(
        latest, health=Health.UNHEALTHY, reason=problems.reason, since=since, lag=None, problems=problems.all
    )
