"""How `webhookd receive` consents to its requests when it is asked (destination.webhook.verification)."""

from dataclasses import dataclass, field
from typing import Literal

import msgspec

from command.received_request import ShownRequest

METHODS = "POST, PUT, PATCH"


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """The headers and the body of a 200 answer that consents."""

    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class _Challenge(msgspec.Struct):
    kind: Literal["endpoint.verification"] = msgspec.field(name="type")
    challenge: str


_challenge = msgspec.json.Decoder(_Challenge)


def consent_to(request: ShownRequest) -> Consent | None:
    """The consent to a request that asks for it; None for any other request."""
    if request.method == "OPTIONS":
        origins = [value for name, value in request.headers if name.lower() == "webhook-request-origin"]
        if not origins:
            return None
        return Consent(headers={"Allow": METHODS, "WebHook-Allowed-Origin": origins[0], "WebHook-Allowed-Rate": "*"})
    try:
        challenge = _challenge.decode(request.body).challenge
    except msgspec.DecodeError:
        return None
    body = msgspec.json.encode({"challenge": challenge})
    return Consent(headers={"Content-Type": "application/json"}, body=body)
