"""The requests that are the examples of the OpenAPI document, in the order in which they are sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A request to one operation.

    `{name}` in the path is an id that an earlier step has remembered; `remembers` names the id in this answer.
    """

    operation: str
    method: str = "GET"
    path: str
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    remembers: str = ""


SUBSCRIPTION: Final[Mapping[str, Any]] = {
    "name": "large orders",
    "destination": {"webhook": {"url": "https://example.com/hook", "headers": ["X-Api-Key: secret"]}},
    "source": [{"topic": "orders", "jmes_filters": ["total >= `100`"]}],
    "configuration": {
        "batching": {"max_batch_size": 100, "max_batch_interval_seconds": 5},
        "alerting": {"alert_emails": ["owner@example.com"]},
    },
}

CHANGED: Final[Mapping[str, Any]] = {
    **SUBSCRIPTION,
    "destination": {
        "webhook": {
            "url": "https://example.com/new-hook",
            "headers": ["X-Api-Key: ****"],
            "verification": {"kind": "echo"},
        }
    },
}

ALL: Final = "/1/Subscription"
ONE: Final = "/1/Subscription/{subscription_id}"
POLICY_DOCUMENT: Final[Mapping[str, Any]] = {
    "topic": "orders",
    "effect": "allow",
    "condition": "country == 'SE'",
    "projection": {"exclude": ["customer.email"]},
    "description": "Orders from Sweden, without the customer's address.",
}

POLICIES: Final = "/1/Policy"
POLICY: Final = "/1/Policy/{policy_id}"
KEYS: Final = "/1/Key"
KEY: Final = "/1/Key/{key_id}"
SWITCH: Final = "/1/EventNotificationAdmin"

STEPS: Final[Sequence[Step]] = (
    Step(operation="createPolicy", method="POST", path=POLICIES, body=POLICY_DOCUMENT, remembers="policy_id"),
    Step(operation="listPolicies", path=POLICIES),
    Step(operation="getPolicy", path=POLICY),
    Step(operation="replacePolicy", method="PUT", path=POLICY, body={**POLICY_DOCUMENT, "tenant": "default"}),
    Step(operation="listPolicyVersions", path=f"{POLICY}/Version"),
    Step(operation="getPolicyConfirmation", path=f"{POLICIES}/Confirmation"),
    Step(
        operation="tryPolicies",
        method="POST",
        path=f"{POLICIES}/DryRun",
        body={
            "topic": "orders",
            "records": [{"value": {"id": 7, "country": "SE", "customer": {"id": 3, "email": "a@example.com"}}}],
        },
    ),
    Step(operation="checkEndpoint", method="POST", path=f"{ALL}/EndpointCheck", body={"url": "https://10.0.0.5/hook"}),
    Step(operation="createSubscription", method="POST", path=ALL, body=SUBSCRIPTION, remembers="subscription_id"),
    Step(operation="listSubscriptions", path=ALL),
    Step(operation="getSubscription", path=ONE),
    Step(operation="replaceSubscription", method="PUT", path=ONE, body=CHANGED),
    Step(operation="updateSubscription", method="PATCH", path=ONE, body={"labels": {"team": "billing"}}),
    Step(operation="getSigningSecret", path=f"{ONE}/SigningSecret"),
    Step(
        operation="rotateSigningSecret",
        method="POST",
        path=f"{ONE}/SigningSecret/Rotate",
        body={"overlap_seconds": 3600},
    ),
    Step(operation="requestVerification", method="POST", path=f"{ONE}/Verification"),
    Step(operation="getSubscriptionStatus", path=f"{ONE}/Status"),
    Step(operation="listDeadLetters", path=f"{ONE}/DeadLetter"),
    Step(operation="deleteDeadLetters", method="DELETE", path=f"{ONE}/DeadLetter"),
    Step(operation="getAdministration", path=SWITCH),
    Step(
        operation="switchAvailability",
        method="POST",
        path=SWITCH,
        body={"status": "online", "offline_message": "maintenance is over"},
    ),
    Step(
        operation="createKey",
        method="POST",
        path=KEYS,
        body={"name": "acme, production", "role": "client", "tenant": "acme"},
        remembers="key_id",
    ),
    Step(operation="listKeys", path=f"{KEYS}?tenant=acme"),
    Step(operation="getKey", path=KEY),
    Step(operation="rotateKey", method="POST", path=f"{KEY}/Rotate", body={"overlap_seconds": 3600}),
    Step(operation="revokeKey", method="DELETE", path=KEY),
    Step(operation="listAuditEntries", path="/1/AuditLog?limit=2"),
    Step(operation="getHealth", path="/health"),
    Step(operation="getReadiness", path="/ready"),
    Step(operation="deleteSubscription", method="DELETE", path=ONE),
    Step(operation="deletePolicy", method="DELETE", path=POLICY),
)
"""Every operation has one (tests/closure/test_openapi.py)."""
