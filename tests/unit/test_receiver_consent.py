"""How `webhookd receive` consents. Oracle: what webhookd itself takes for a consent (flow/attempt/verification.py)."""

import json
from dataclasses import replace

import pytest

from command.received_request import ShownRequest
from command.receiver_consent import consent_to
from webhookd.flow.attempt.exchange_result import Response
from webhookd.flow.attempt.target import Target
from webhookd.flow.attempt.verification import Consent, consent_in, verification_request
from webhookd.flow.destination import Destination, Verification

CHALLENGE = "a-challenge"
DESTINATION = Destination(url="http://127.0.0.1:9000/hook")


@pytest.mark.parametrize(("kind", "method"), [(Verification.OPTIONS, "OPTIONS"), (Verification.ECHO, "POST")])
def test_webhookd_takes_it_for_a_consent(kind: Verification, method: str) -> None:
    destination = replace(DESTINATION, verification=kind)
    asked = verification_request(destination, Target.parse(destination.url), "webhookd")
    assert asked is not None
    lines = [line.split(": ", 1) for line in asked.head.decode().splitlines()[1:]]
    headers = tuple((name, value) for name, value in lines)
    found = consent_to(ShownRequest(method, "/hook", headers, asked.challenge_body(CHALLENGE)))
    assert found is not None
    head = "".join(f"{name}: {value}\r\n" for name, value in found.headers.items())
    answer = Response(status=200, head=f"HTTP/1.1 200 OK\r\n{head}".encode(), body=found.body, elapsed_s=0.1)
    assert consent_in(asked, answer, CHALLENGE) == Consent()


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("OPTIONS", b""),
        ("POST", b""),
        ("POST", b'{"messages":[]}'),
        ("POST", json.dumps({"challenge": CHALLENGE}).encode()),
        ("POST", b'{"type":"endpoint.verification","challenge":7}'),
    ],
)
def test_other_requests_are_answered_as_usual(method: str, body: bytes) -> None:
    assert consent_to(ShownRequest(method, "/hook", (), body)) is None
