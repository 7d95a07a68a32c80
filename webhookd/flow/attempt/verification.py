"""How an endpoint is asked whether it wants the requests of a subscription, and which answers are a consent.

kind      request                                         the endpoint consents with a 2xx status and
options   OPTIONS with `WebHook-Request-Origin`           `WebHook-Allowed-Origin` equal to that origin, or `*`
echo      the subscription's method, signed as each       the challenge as the body, or a JSON object whose only member
          request is, with a JSON body: `{"type":         is `challenge`
          "endpoint.verification", "challenge": "…"}`

OPTIONS is the validation request of CloudEvents, HTTP 1.1 Web Hooks for Event Delivery 1.0.2, §4 (abuse protection).
`WebHook-Request-Rate` is sent if the subscription has a rate limit in requests. `WebHook-Allowed-Rate` is honoured: see
`granted_per_minute`. `WebHook-Request-Callback`, which is optional, is not sent: consent has to be in the answer.

The answer to `echo` is not the request's body: a server that returns what it gets does not consent.
"""

import math
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

import msgspec

from webhookd.flow.attempt.authentication import constant_headers
from webhookd.flow.attempt.exchange_result import Failure, Outcome, Response
from webhookd.flow.attempt.judge import failure_code
from webhookd.flow.attempt.response_body import text_of
from webhookd.flow.attempt.response_head import field_value
from webhookd.flow.attempt.target import Target, request_head
from webhookd.flow.destination import Destination, RateLimit, RateUnit, Verification

ANSWER_BYTES: Final = 2048
"""How much of an answer is read at least; the longest consent to `echo` is much shorter."""

CONSENT_MISSING: Final = "consent_missing"
"""The failure code of a 2xx answer without a consent."""

REQUEST_ORIGIN: Final = "WebHook-Request-Origin"

CONTENT_TYPE: Final = "application/json"

_MOST_PER_MINUTE: Final = 10**9
"""A larger rate is no limit."""

_members = msgspec.json.Decoder(dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationRequest:
    """What asks an endpoint: the head of the request without the lines that differ each time."""

    kind: Verification
    origin: str
    head: bytes = field(repr=False)

    def challenge_body(self, challenge: str) -> bytes:
        """The body of the request; empty for OPTIONS."""
        if self.kind is Verification.OPTIONS:
            return b""
        return msgspec.json.encode({"type": "endpoint.verification", "challenge": challenge})


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """The endpoint wants the requests, up to `granted_per_minute` of them; None for any number."""

    granted_per_minute: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NoConsent:
    """The endpoint has not consented. `code` is a failure code, `detail` says what is missing."""

    code: str
    detail: str


def verification_request(
    destination: Destination, target: Target, origin: str, rate: RateLimit | None = None
) -> VerificationRequest | None:
    """The request that asks the endpoint; None if it is not to be asked. Raises InvalidInput as the head does.

    `rate` is the subscription's own limit. The headers of the subscription and its login go with the request.
    """
    if not destination.unverified:
        return None
    headers = constant_headers(destination)
    method = destination.method.value
    if destination.verification is Verification.OPTIONS:
        headers = (*headers, (REQUEST_ORIGIN, origin), *_requested_rate(rate))
        method = "OPTIONS"
    head = request_head(target, headers, CONTENT_TYPE, method)
    return VerificationRequest(kind=destination.verification, origin=origin, head=head)


def delivery_headers(destination: Destination, origin: str) -> tuple[tuple[str, str], ...]:
    """The headers of each delivery: after the OPTIONS request they have its `WebHook-Request-Origin` (§4.1.2)."""
    headers = constant_headers(destination)
    return (*headers, (REQUEST_ORIGIN, origin)) if destination.verification is Verification.OPTIONS else headers


def consent_in(request: VerificationRequest, outcome: Outcome, challenge: str) -> Consent | NoConsent:
    """Whether the endpoint has consented."""
    if isinstance(outcome, Failure):
        return NoConsent(code=failure_code(outcome), detail=outcome.detail)
    if not HTTPStatus.OK <= outcome.status < HTTPStatus.MULTIPLE_CHOICES:
        return NoConsent(code=failure_code(outcome), detail=f"the status is {outcome.status}; consent has a 2xx status")
    return _allowed(request, outcome) if request.kind is Verification.OPTIONS else _echoed(outcome, challenge)


def _requested_rate(rate: RateLimit | None) -> tuple[tuple[str, str], ...]:
    if rate is None or rate.unit is not RateUnit.REQUESTS:
        return ()
    return (("WebHook-Request-Rate", str(math.ceil(rate.per_second * 60))),)


def _allowed(request: VerificationRequest, response: Response) -> Consent | NoConsent:
    allowed = field_value(response.head, "WebHook-Allowed-Origin")
    if allowed is None:
        return _missing("the answer has no WebHook-Allowed-Origin")
    if allowed != "*" and allowed.lower() != request.origin.lower():
        return _missing(f"WebHook-Allowed-Origin is neither {request.origin} nor *")
    rate = field_value(response.head, "WebHook-Allowed-Rate")
    if rate is None or rate == "*":
        return Consent()
    if not (rate.isascii() and rate.isdigit() and rate.strip("0")):
        return _missing("WebHook-Allowed-Rate is neither a positive integer (requests per minute) nor *")
    digits = rate.lstrip("0")
    per_minute = int(digits) if len(digits) < len(str(_MOST_PER_MINUTE)) else None
    return Consent(granted_per_minute=per_minute)


def _echoed(response: Response, challenge: str) -> Consent | NoConsent:
    text = text_of(response.head, response.body).strip()
    if text == challenge:
        return Consent()
    try:
        answer = _members.decode(text)
    except msgspec.DecodeError:
        answer = {}
    if answer == {"challenge": challenge}:
        return Consent()
    return _missing('the answer is neither the challenge nor {"challenge": "…"} with nothing else in it')


def _missing(detail: str) -> NoConsent:
    return NoConsent(code=CONSENT_MISSING, detail=detail)
