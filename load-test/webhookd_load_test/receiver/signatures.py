"""Verifies the signatures of requests, with the package `standardwebhooks`, which shares no code with webhookd."""

from collections.abc import Sequence
from typing import Literal

from standardwebhooks import Webhook, WebhookVerificationError

Signature = Literal["valid", "invalid", "none"]


def verified(headers: dict[str, str], body: bytes, verifiers: Sequence[Webhook]) -> Signature:
    """Say whether one of these secrets has signed the request; `none` when no secret is known.

    A request without a signature is invalid where a secret is known. `headers` have names in lower case.
    """
    if not verifiers:
        return "none"
    return "valid" if any(_verifies(one, headers, body) for one in verifiers) else "invalid"


def _verifies(webhook: Webhook, headers: dict[str, str], body: bytes) -> bool:
    try:
        webhook.verify(body, headers, json_parse=False)
    except (WebhookVerificationError, ValueError):  # ValueError: a signature that is no base64, a body not in UTF-8
        return False
    return True
