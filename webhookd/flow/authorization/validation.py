"""Checks a policy that an operator writes, before it is stored."""

from webhookd.errors import InvalidInput
from webhookd.flow.authorization.authorizer import TopicAuthorizer
from webhookd.flow.policy.policy import Effect, Policy, ProjectionKind, TopicPolicies


def check_policy(policy: Policy) -> None:
    """Raise InvalidInput unless the policy can be evaluated.

    The field is `condition`, `projection`, `projection.include[2]` or `projection.expression`. InvalidFilter has the
    position in an expression, too.
    """
    projection = policy.projection
    if projection is not None and policy.effect is Effect.DENY:
        raise InvalidInput("is not possible with the effect deny, which shows nothing", field="projection")
    if projection is not None and projection.kind is not ProjectionKind.EXPRESSION and projection.expression:
        raise InvalidInput("is not possible beside paths", field="projection.expression")
    if projection is not None and projection.kind is ProjectionKind.EXPRESSION and projection.paths:
        raise InvalidInput("is not possible beside paths", field="projection.expression")
    TopicAuthorizer(TopicPolicies(governed=True, open=False, policies=(policy,)))
