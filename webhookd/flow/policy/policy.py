"""Authorization policies: what operators allow tenants to see of a topic's records.

The policies of a topic are those whose pattern matches its name. When there is none, a setting decides whether the
topic is open. When there is one, for whichever tenant, a record is denied unless a policy for the tenant allows it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from webhookd.flow.policy import topic_pattern
from webhookd.flow.policy.topic_pattern import TopicPatterns


class Effect(StrEnum):
    """What a policy does with the records on which its condition holds. Deny wins over allow."""

    ALLOW = "allow"
    DENY = "deny"


class ProjectionKind(StrEnum):
    """How a projection says what is seen: paths to keep, paths to leave out, or a JMESPath expression."""

    INCLUDE = "include"
    EXCLUDE = "exclude"
    EXPRESSION = "expression"


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """What is seen of a record; `paths` for `include` and `exclude`, `expression` for the third kind."""

    kind: ProjectionKind
    paths: tuple[str, ...] = ()
    expression: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One policy. `version` increases with every change.

    tenant       whom it is for; None for every tenant
    topic        a topic's name, or a pattern in which `*` stands for any characters
    condition    JMESPath on the whole record; "" holds for every record
    projection   what is seen of the records it allows; None for everything
    priority     among the allows whose condition holds, the one with the lowest priority alone projects
    """

    id: str
    version: int = 1
    tenant: str | None = None
    topic: str
    effect: Effect
    priority: int = 100
    condition: str = ""
    projection: Projection | None = None
    description: str = ""

    def matches_topic(self, topic: str) -> bool:
        """Whether it is a policy of this topic."""
        return topic_pattern.matches(self.topic, topic)


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicPolicies:
    """The policies that apply to one tenant's view of one topic, in the order of priority, then id.

    `governed` is True when the topic has a policy, also one of another tenant. `open` is what the setting says about
    topics without a policy.
    """

    governed: bool
    open: bool
    policies: tuple[Policy, ...] = ()

    @property
    def allowed(self) -> bool:
        """Whether the tenant may read the topic at all; each record may still be denied."""
        if not self.governed:
            return self.open
        return any(policy.effect is Effect.ALLOW for policy in self.policies)

    @property
    def unrestricted(self) -> bool:
        """Whether every record is seen whole, without an evaluation."""
        return not self.governed and self.open

    def same_effect(self, other: "TopicPolicies") -> bool:
        """Whether every record is seen alike under both: a policy's version and description have no effect."""
        return _effective(self) == _effective(other)


def _effective(applied: TopicPolicies) -> TopicPolicies:
    return replace(applied, policies=tuple(replace(one, version=0, description="") for one in applied.policies))


OPEN_TOPIC = TopicPolicies(governed=False, open=True)
"""A topic without a policy where such topics are open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySet:
    """All policies as of one version; the version increases with every change of any policy."""

    version: int = 0
    policies: tuple[Policy, ...] = ()
    _patterns: TopicPatterns = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Prepare the search for a topic: there may be thousands of policies and of topics."""
        object.__setattr__(self, "_patterns", TopicPatterns(policy.topic for policy in self.policies))

    def of_topic(self, tenant: str, topic: str, *, open_without_policy: bool) -> TopicPolicies:
        """What applies to this tenant's view of this topic."""
        matching = [self.policies[place] for place in self._patterns.matching(topic)]
        ours: Sequence[Policy] = [policy for policy in matching if policy.tenant in {None, tenant}]
        return TopicPolicies(
            governed=bool(matching),
            open=open_without_policy,
            policies=tuple(sorted(ours, key=lambda policy: (policy.priority, policy.id))),
        )
