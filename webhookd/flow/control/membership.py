"""Which ingest processes take part: the subscriptions are divided among those that reach Kafka.

a process that takes part                          stops taking part
has reached Kafka before                           when Kafka has not answered for the bound, and another process has
                                                   reached Kafka for 5 s
has never reached Kafka                            at once, if another process has reached Kafka for 5 s

a process that does not take part                  takes part again
reaches Kafka                                      after 10 s without a gap
is one of several, none of which takes part        at once

While no process reaches Kafka, no subscription moves, since another process could not read it either. Processes that
lose Kafka at the same moment notice it within a few seconds of each other, which is less than the bound.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from webhookd.flow.monitoring.kafka_reachability import KafkaReachability

STEADY_S = 5.0
"""A process takes over subscriptions only after it has reached Kafka for this long. When a cluster is up again, all
processes reach it within about a second, and each must notice this before another process takes its subscriptions."""

REJOIN_AFTER_S = 10.0
"""A process must reach Kafka for this long before it takes part again. Moving a subscription costs a rebalance, so an
unstable connection must not move any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An ingest process: whether it takes part, and for how long it has reached Kafka (0 while it does not)."""

    id: str
    takes_part: bool = True
    reachable_s: float = 0.0


def takes_part(kafka: KafkaReachability, others: Sequence[Member], now: float, *, before: bool, lost_s: float) -> bool:
    """Whether a process takes part from now on.

    `before` is the previous result, `others` are the other live processes, `lost_s` is the bound in the table above.
    """
    if before:
        bound_s = lost_s if kafka.ever_answered else 0.0
        lost = kafka.failing_since is not None and kafka.unreachable_s(now) >= bound_s
        return not (lost and any(other.takes_part and other.reachable_s >= STEADY_S for other in others))
    return kafka.reachable_s(now) >= REJOIN_AFTER_S or not any(other.takes_part for other in others)


def participants(members: Sequence[Member]) -> list[str]:
    """The ids of those that take part, sorted; of all members when none takes part."""
    return sorted(member.id for member in members if member.takes_part) or sorted(member.id for member in members)
