"""What the statuses of a process' subscriptions say while Kafka does not answer it.

after        the status
the bound    lag unknown (`ingest_kafka_timeout_s`; sooner, the last lag known is shown)
30 s         unhealthy, `kafka_unavailable`, until Kafka answers
"""

from collections.abc import Iterable
from dataclasses import replace

from webhookd.errors import KafkaUnavailable
from webhookd.flow.condition import Condition, Health
from webhookd.flow.contact import Contact
from webhookd.flow.problem import Problem, Problems
from webhookd.flow.subscription import Subscription
from workers.ingest.intake import Intake

UNHEALTHY_AFTER_S = 30.0
"""Longer than a cluster's restart: each owner gets a mail then. Operators are told after seconds (flow/faults.py)."""


def show(intakes: Iterable[Intake], contact: Contact, now: float, bound_s: float) -> None:
    """Begin or end the problem of what runs; on the ingest loop's thread."""
    silent_s = contact.silent_s(now)
    for intake in intakes:
        known = KafkaUnavailable.code in intake.vitals.problems
        intake.kafka_silent = silent_s >= bound_s
        if silent_s >= UNHEALTHY_AFTER_S and not known:
            intake.suffer(KafkaUnavailable.code, contact.detail, standing=True)
        elif contact.answered_since is not None and known:
            intake.overcome(KafkaUnavailable.code)


def condition_of(
    subscription: Subscription, before: Condition | None, contact: Contact, now: float, wall_now: float
) -> Condition | None:
    """The condition of what cannot be started because Kafka has never answered; None while it stays as it is."""
    if contact.silent_s(now) < UNHEALTHY_AFTER_S:
        return None
    latest = before or Condition(subscription_id=subscription.id, health=Health.HEALTHY)
    problems = Problems(latest.problems)
    if KafkaUnavailable.code in problems:
        return None
    problems.begin(Problem(code=KafkaUnavailable.code, detail=contact.detail, since=wall_now, standing=True))
    since = latest.since if latest.health is Health.UNHEALTHY else wall_now
    return replace(
        latest, health=Health.UNHEALTHY, reason=problems.reason, since=since, lag=None, problems=problems.all
    )
