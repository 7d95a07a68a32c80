"""How endpoints are asked for their consent, and which answers are one.

Oracle: CloudEvents, HTTP 1.1 Web Hooks for Event Delivery 1.0.2, §4.1 and §4.2; docs/how-to/verify-endpoints.md.
"""

import json
from dataclasses import replace

import pytest

from webhookd.flow.attempt.exchange_result import Failure, FailureCode, Outcome, Response
from webhookd.flow.attempt.target import Target
from webhookd.flow.attempt.verification import (
    CONSENT_MISSING,
    Consent,
    NoConsent,
    VerificationRequest,
    consent_in,
    delivery_headers,
    verification_request,
)
from webhookd.flow.destination import (
    Basic,
    Destination,
    Method,
    RateLimit,
    RateUnit,
    Verification,
    with_kept_verification,
)

ORIGIN = "hooks.example.com"
CHALLENGE = "dGhlIGNoYWxsZW5nZQ"
DESTINATION = Destination(url="https://example.com/hook", headers=(("X-Api-Key", "secret"),))
ECHO = replace(DESTINATION, verification=Verification.ECHO)
OPTIONS = replace(DESTINATION, verification=Verification.OPTIONS)
ALLOWED = f"WebHook-Allowed-Origin: {ORIGIN}"


def asked(destination: Destination, rate: RateLimit | None = None) -> VerificationRequest:
    request = verification_request(destination, Target.parse(destination.url), ORIGIN, rate)
    assert request is not None
    return request


def response(status: int, *headers: str, body: bytes = b"") -> Response:
    head = "\r\n".join((f"HTTP/1.1 {status} x", *headers, "")).encode()
    return Response(status=status, head=head, body=body, elapsed_s=0.1)


def result(destination: Destination, outcome: Outcome) -> Consent | str:
    """The consent, or the code of the failure."""
    found = consent_in(asked(destination), outcome, CHALLENGE)
    return found.code if isinstance(found, NoConsent) else found


def echo(body: object) -> Response:
    return response(200, body=body if isinstance(body, bytes) else json.dumps(body).encode())


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (response(200, ALLOWED), Consent()),
        (response(204, f"webhook-allowed-origin:  {ORIGIN.upper()} "), Consent()),
        (response(200, "WebHook-Allowed-Origin: *", "WebHook-Allowed-Rate: *"), Consent()),
        (response(200, ALLOWED, "WebHook-Allowed-Rate: 120"), Consent(granted_per_minute=120)),
        (response(200, ALLOWED, "WebHook-Allowed-Rate: 99999999999"), Consent()),
        (response(200, ALLOWED, "WebHook-Allowed-Rate: 0000000000060"), Consent(granted_per_minute=60)),
        (response(200), CONSENT_MISSING),
        (response(200, "Access-Control-Allow-Origin: *", "Allow: OPTIONS, POST"), CONSENT_MISSING),
        (response(200, "WebHook-Allowed-Origin: example.com"), CONSENT_MISSING),
        (response(200, "WebHook-Allowed-Origin:"), CONSENT_MISSING),
        (response(200, ALLOWED, "WebHook-Allowed-Rate: 0"), CONSENT_MISSING),
        (response(200, ALLOWED, "WebHook-Allowed-Rate: many"), CONSENT_MISSING),
        (response(200, ALLOWED, "WebHook-Allowed-Rate: 1.5"), CONSENT_MISSING),
        (response(301, ALLOWED), "http_301"),
        (response(405, ALLOWED), "http_405"),
        (response(503), "http_503"),
        (Failure(code=FailureCode.TIMEOUT, detail="", elapsed_s=1.0, sent=True), "timeout"),
    ],
)
def test_options_needs_the_origin(outcome: Outcome, expected: Consent | str) -> None:
    assert result(OPTIONS, outcome) == expected


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (echo({"challenge": CHALLENGE}), Consent()),
        (echo(f" {CHALLENGE}\n".encode()), Consent()),
        (echo(b""), CONSENT_MISSING),
        (echo(b"ok"), CONSENT_MISSING),
        (echo({"challenge": "another"}), CONSENT_MISSING),
        (echo({"challenge": CHALLENGE, "type": "endpoint.verification"}), CONSENT_MISSING),
        (echo([CHALLENGE]), CONSENT_MISSING),
        (echo(json.dumps(CHALLENGE).encode()), CONSENT_MISSING),
        (echo(b"[" * 100_000), CONSENT_MISSING),
        (echo(b"\xff" + CHALLENGE.encode()), CONSENT_MISSING),
        (response(400, body=CHALLENGE.encode()), "http_400"),
    ],
)
def test_echo_needs_the_challenge(outcome: Outcome, expected: Consent | str) -> None:
    assert result(ECHO, outcome) == expected


def test_server_that_returns_the_request_does_not_consent() -> None:
    assert result(ECHO, echo(asked(ECHO).challenge_body(CHALLENGE))) == CONSENT_MISSING


def test_options_request_has_the_origin_and_the_login() -> None:
    destination = replace(OPTIONS, authentication=Basic(username="shop", password="open sesame"))
    head = asked(destination, RateLimit(per_second=1.99, burst=1)).head.decode()
    assert head.startswith("OPTIONS /hook HTTP/1.1\r\nHost: example.com\r\n")
    lines = head.splitlines()
    assert {f"WebHook-Request-Origin: {ORIGIN}", "WebHook-Request-Rate: 120", "X-Api-Key: secret"} <= set(lines)
    assert any(line.startswith("Authorization: Basic ") for line in lines)
    assert asked(destination).challenge_body(CHALLENGE) == b""


def test_rate_of_records_is_not_requested() -> None:
    rate = RateLimit(per_second=2.0, burst=1, unit=RateUnit.RECORDS)
    assert b"WebHook-Request-Rate" not in asked(OPTIONS, rate).head


def test_echo_is_sent_by_the_method_of_the_deliveries() -> None:
    request = asked(replace(ECHO, method=Method.PUT))
    assert request.head.startswith(b"PUT /hook HTTP/1.1\r\n")
    assert json.loads(request.challenge_body(CHALLENGE)) == {"type": "endpoint.verification", "challenge": CHALLENGE}


@pytest.mark.parametrize("destination", [DESTINATION, replace(ECHO, verified=True)])
def test_nobody_asks_where_no_consent_is_missing(destination: Destination) -> None:
    assert verification_request(destination, Target.parse(destination.url), ORIGIN) is None


def test_only_options_gives_deliveries_an_origin() -> None:
    origins = [
        dict(delivery_headers(one, ORIGIN)).get("WebHook-Request-Origin") for one in (DESTINATION, ECHO, OPTIONS)
    ]
    assert origins == [None, None, ORIGIN]


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({}, True),
        ({"headers": ()}, True),
        ({"method": Method.PUT}, True),
        ({"url": "https://example.com/hook?x=1"}, False),
        ({"url": "https://example.com:8443/hook"}, False),
        ({"verification": Verification.OPTIONS}, False),
        ({"verification": Verification.NONE}, False),
    ],
)
def test_consent_belongs_to_the_url_and_the_way_to_ask(changes: dict[str, object], kept: bool) -> None:
    stored = replace(ECHO, verified=True, granted_per_minute=60)
    found = with_kept_verification(replace(ECHO, **changes), stored)  # type: ignore[arg-type]  # any field
    assert (found.verified, found.granted_per_minute) == ((True, 60) if kept else (None, None))
