"""The names of the operations, which client libraries turn into names of functions."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Final

IDS: Final[Mapping[str, str]] = {
    "GET /1/Subscription": "listSubscriptions",
    "POST /1/Subscription": "createSubscription",
    "GET /1/Subscription/{subscription_id}": "getSubscription",
    "PUT /1/Subscription/{subscription_id}": "replaceSubscription",
    "PATCH /1/Subscription/{subscription_id}": "updateSubscription",
    "DELETE /1/Subscription/{subscription_id}": "deleteSubscription",
    "POST /1/Subscription/EndpointCheck": "checkEndpoint",
    "GET /1/Subscription/{subscription_id}/SigningSecret": "getSigningSecret",
    "POST /1/Subscription/{subscription_id}/SigningSecret/Rotate": "rotateSigningSecret",
    "POST /1/Subscription/{subscription_id}/Verification": "requestVerification",
    "GET /1/Subscription/{subscription_id}/Status": "getSubscriptionStatus",
    "GET /1/Subscription/{subscription_id}/DeadLetter": "listDeadLetters",
    "DELETE /1/Subscription/{subscription_id}/DeadLetter": "deleteDeadLetters",
    "GET /1/EventNotificationAdmin": "getAdministration",
    "POST /1/EventNotificationAdmin": "switchAvailability",
    "GET /1/Key": "listKeys",
    "POST /1/Key": "createKey",
    "GET /1/Key/{key_id}": "getKey",
    "DELETE /1/Key/{key_id}": "revokeKey",
    "POST /1/Key/{key_id}/Rotate": "rotateKey",
    "GET /1/Policy": "listPolicies",
    "POST /1/Policy": "createPolicy",
    "GET /1/Policy/{policy_id}": "getPolicy",
    "PUT /1/Policy/{policy_id}": "replacePolicy",
    "DELETE /1/Policy/{policy_id}": "deletePolicy",
    "GET /1/Policy/{policy_id}/Version": "listPolicyVersions",
    "GET /1/Policy/Confirmation": "getPolicyConfirmation",
    "POST /1/Policy/DryRun": "tryPolicies",
    "GET /1/AuditLog": "listAuditEntries",
    "GET /health": "getHealth",
    "GET /ready": "getReadiness",
}
"""By method and path. They are part of the API: a changed name breaks the code that clients have generated."""

_VARIABLE: Final = re.compile(r"<(?:[^<>:]+:)?([^<>]+)>")


@cache
def operation_id(method: str, route: str) -> str | None:
    """Return the name of the operation of a method and a route as Flask writes it; a HEAD is the GET. None without."""
    return IDS.get(f"{'GET' if method == 'HEAD' else method} {path_of(route)}")


def path_of(route: str) -> str:
    """Return the path of a route as OpenAPI writes it."""
    return _VARIABLE.sub(r"{\1}", route)
