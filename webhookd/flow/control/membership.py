"""Among which ingest processes the subscriptions are divided: those that can read Kafka.

a process that takes part                          stops taking part
Kafka has answered it before                       silent for the bound, and another one reads steadily
Kafka has never answered it                        at once, if another one reads steadily

a process that does not                            takes part again
Kafka answers it                                   after 10 s without a gap
no other process takes part                        at once

While Kafka answers nobody, nobody reads steadily, so nothing moves: giving subscriptions away helps nobody then. All
processes that lose Kafka at one moment notice it within a few seconds of each other, less than the bound.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from webhookd.flow.monitoring.kafka_reachability import KafkaReachability

STEADY_S = 5.0
"""Who is to be given subscriptions has had answers for so long. A cluster that comes back answers all processes
within about a second, each of which has to learn of it before another one takes its subscriptions."""

REJOIN_AFTER_S = 10.0
"""A route that comes and goes moves nothing before it has been there for so long: a move costs a rebalance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An ingest process: whether it takes part, and for how long Kafka has answered it (0 while it does not)."""

    id: str
    takes_part: bool = True
    contact_s: float = 0.0


def takes_part(
    contact: KafkaReachability, others: Sequence[Member], now: float, *, before: bool, lost_s: float
) -> bool:
    """Whether a process takes part from here on; `before` is what it decided last, `others` are alive."""
    if before:
        bound_s = lost_s if contact.ever else 0.0
        lost = contact.failing_since is not None and contact.silent_s(now) >= bound_s
        return not (lost and any(other.takes_part and other.contact_s >= STEADY_S for other in others))
    return contact.contact_s(now) >= REJOIN_AFTER_S or not any(other.takes_part for other in others)


def participants(members: Sequence[Member]) -> list[str]:
    """The processes that the subscriptions are divided among, in one order; all of them when none takes part."""
    return sorted(member.id for member in members if member.takes_part) or sorted(member.id for member in members)
