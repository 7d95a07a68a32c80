"""Builders of policies; a test changes what matters to it."""

import itertools
from typing import Any

from webhookd.flow.policy.policy import Effect, Policy, Projection, ProjectionKind, TopicPolicies

_numbers = itertools.count(1)


def allow(condition: str = "", projection: Projection | None = None, **changes: Any) -> Policy:  # noqa: ANN401  # whatever a Policy takes
    """A policy that allows."""
    return _policy(Effect.ALLOW, condition, projection, changes)


def deny(condition: str = "", **changes: Any) -> Policy:  # noqa: ANN401  # whatever a Policy takes
    """A policy that denies."""
    return _policy(Effect.DENY, condition, None, changes)


def include(*paths: str) -> Projection:
    """A projection that keeps these paths."""
    return Projection(kind=ProjectionKind.INCLUDE, paths=paths)


def exclude(*paths: str) -> Projection:
    """A projection that leaves these paths out."""
    return Projection(kind=ProjectionKind.EXCLUDE, paths=paths)


def built(expression: str) -> Projection:
    """A projection that an expression builds."""
    return Projection(kind=ProjectionKind.EXPRESSION, expression=expression)


def governed(*policies: Policy) -> TopicPolicies:
    """The policies of a topic."""
    return TopicPolicies(governed=True, open=False, policies=policies)


def _policy(effect: Effect, condition: str, projection: Projection | None, changes: dict[str, Any]) -> Policy:
    values: dict[str, Any] = {"id": f"p{next(_numbers):05}", "topic": "orders"}
    return Policy(**(values | changes), effect=effect, condition=condition, projection=projection)
