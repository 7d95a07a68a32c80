"""Maps JSON documents to policies and back."""

from collections.abc import Mapping
from typing import Any

from api.resources.policy.confirmation import Confirmation
from api.resources.status.rendering import iso
from webhookd.flow.authorization.validation import check_policy
from webhookd.flow.policy.policy import Effect, Policy
from webhookd.store.policies import PolicyVersion, StoredPolicy
from webhookd.store.policy_rows import document_of, projection_of

Document = Mapping[str, Any]
"""A document that the schema has validated, or is going to serialise."""


def parse(document: Document, id_: str) -> Policy:
    """Return the policy that a validated document describes.

    Raises InvalidInput with the field for a condition or a projection that cannot be evaluated.
    """
    policy = Policy(
        id=id_,
        version=document["version"] or 1,
        tenant=document["tenant"],
        topic=document["topic"],
        effect=Effect(document["effect"]),
        priority=document["priority"],
        condition=document["condition"],
        projection=projection_of(document["projection"]),
        description=document["description"],
    )
    check_policy(policy)
    return policy


def render(stored: StoredPolicy, confirmation: Confirmation | None = None) -> dict[str, Any]:
    """The policy as responses show it."""
    document = document_of(stored.policy) | {
        "version": stored.policy.version,
        "created_at": iso(stored.created_at),
        "updated_at": iso(stored.updated_at),
    }
    return document if confirmation is None else document | {"confirmation": render_confirmation(confirmation)}


def render_confirmation(confirmation: Confirmation) -> dict[str, Any]:
    """Which processes have confirmed a version, as responses show it."""
    return {
        "version": confirmation.version,
        "confirmed": confirmation.confirmed,
        "missing": [
            {
                "member": one.id,
                "confirmed_version": one.policy_version,
                "heartbeat_age_seconds": round(one.silent_s, 3),
            }
            for one in confirmation.missing
        ],
        "detail": confirmation.detail,
    }


def render_version(version: PolicyVersion) -> dict[str, Any]:
    """A version of a policy, as responses show it."""
    return {
        "version": version.version,
        "policy": version.document,
        "changed_at": iso(version.changed_at),
        "changed_by": version.changed_by,
    }
