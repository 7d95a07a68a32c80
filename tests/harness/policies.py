"""Builders of policies; a test changes what matters to it."""

from typing import Any

from webhookd import clock
from webhookd.clock import Monotonic
from webhookd.flow.access.caller import Caller, Role
from webhookd.flow.policy.policy import Effect, Policy, Projection, ProjectionKind
from workers.ingest.control.policies_in_use import PoliciesInUse

OPERATOR = Caller(role=Role.ADMIN, key_id="whd_test", name="operator", address="127.0.0.1")
POLICY_ID = "0b6f3d52-8e1c-4a57-9d2f-6a4f0e7c1d33"


def policy(id_: str = POLICY_ID, **changes: Any) -> Policy:  # noqa: ANN401  # whatever a Policy takes
    """A policy that allows every tenant to read `orders` without two fields."""
    values: dict[str, Any] = {
        "id": id_,
        "topic": "orders",
        "effect": Effect.ALLOW,
        "projection": Projection(kind=ProjectionKind.EXCLUDE, paths=("customer.email", "note")),
    }
    return Policy(**(values | changes))


def policies_in_use(
    *, open_without_policy: bool = True, max_age_s: float = 300.0, monotonic: Monotonic = clock.monotonic
) -> PoliciesInUse:
    """The policies of an ingest process that has read none yet."""
    return PoliciesInUse(open_without_policy=open_without_policy, max_age_s=max_age_s, monotonic=monotonic)
