"""Endpoints are asked for their consent over real connections, with TLS and without.

Oracle: the endpoint, which reads the request with Python's parsers and verifies the signature with its own HMAC.
"""

import base64
import hmac
import json
from dataclasses import replace
from email import message_from_bytes
from email.message import Message
from hashlib import sha256
from queue import SimpleQueue

import pytest

from tests.harness.delivery_senders import ref, template
from tests.harness.hostile_server import Peer, Script
from tests.harness.http_testbed import HttpTestbed
from tests.harness.subscriptions import SECRET, signed_destination
from webhookd.clock import monotonic
from webhookd.edges.http_client.event_loop import ExchangeLoop
from webhookd.flow.attempt.attempt_report import Report, ReportKind
from webhookd.flow.attempt.signature import signer_of
from webhookd.flow.attempt.verification import ANSWER_BYTES, verification_request
from webhookd.flow.destination import ClientCredentials, Verification
from workers.delivery.access_tokens import TokenSource, TokenSources
from workers.delivery.send_limits import Clocks
from workers.delivery.verification_sender import VerificationSender

ORIGIN, CHALLENGE, PATIENCE_S = "hooks.example.com", "a challenge", 10.0
WALL = 1_700_000_000.5


def parsed(request: bytes) -> tuple[str, Message, bytes]:
    """The method, the headers and the body of a request."""
    head, _, body = request.partition(b"\r\n\r\n")
    first, _, lines = head.partition(b"\r\n")
    return first.decode().split(" ")[0], message_from_bytes(lines), body


def whole(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = "".join(f"{header}\r\n" for header in headers)
    return f"HTTP/1.1 {status}\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


def echoing(peer: Peer) -> None:
    """Return the challenge of a request with a valid signature; refuse every other one."""
    while request := peer.request():
        method, headers, body = parsed(request)
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        digest = hmac.digest(base64.b64decode(SECRET.removeprefix("whsec_")), signed, sha256)
        valid = headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}" and method == "POST"
        answer = json.dumps({"challenge": json.loads(body)["challenge"]}).encode()
        peer.send(whole("200 OK", answer) if valid else whole("401 Unauthorized"))


def allowing(peer: Peer) -> None:
    """Grant 90 requests a minute to the origin that asks for them."""
    while request := peer.request():
        method, headers, body = parsed(request)
        granted = f"WebHook-Allowed-Origin: {headers['WebHook-Request-Origin']}", "WebHook-Allowed-Rate: 90"
        peer.send(whole("200 OK", b"", *granted) if (method, body) == ("OPTIONS", b"") else whole("405 No"))


def issuing(peer: Peer) -> None:
    """Issue a token to whoever asks."""
    while peer.request():
        peer.send(whole("200 OK", b'{"access_token": "number-1", "token_type": "bearer", "expires_in": 1000}'))


def indifferent(peer: Peer) -> None:
    """Answer 200 to everything."""
    while peer.request():
        peer.send(whole("200 OK", b"ok"))


def silent(peer: Peer) -> None:
    """Read the request and close the connection."""
    peer.request()


def asked(testbed: HttpTestbed, kind: Verification, script: Script, *, with_token: bool = False) -> Report:
    """The report after an endpoint was asked. No body is kept for the activity of deliveries."""
    target = testbed.target(testbed.serve(script))
    destination = replace(signed_destination(), verification=kind)
    request = verification_request(destination, target, ORIGIN)
    assert request is not None
    reports: SimpleQueue[Report] = SimpleQueue()
    loop = testbed.loop(response_bytes=0)
    found = replace(template(), target=target, signer=signer_of(destination.signing), verification=request)
    sender = VerificationSender(
        ref("question"),
        replace(found, tokens=token_source(testbed, loop)) if with_token else found,
        request,
        challenge=CHALLENGE,
        deadline_s=PATIENCE_S,
        clocks=Clocks(monotonic=monotonic, wall=lambda: WALL, chance=lambda: 0.5),
        ended=reports.put,
    )
    loop.submit(sender, body_bytes=ANSWER_BYTES)
    return reports.get(timeout=PATIENCE_S)


def token_source(testbed: HttpTestbed, loop: ExchangeLoop) -> TokenSource:
    """Access tokens of a token endpoint that issues one to whoever asks."""
    url = f"{'https' if testbed.tls else 'http'}://127.0.0.1:{testbed.serve(issuing).port}/token"
    credentials = ClientCredentials(token_url=url, client_id="client", client_secret="s3cret")
    return TokenSources(loop, monotonic=monotonic, wall=lambda: WALL, deadline_s=PATIENCE_S).source(credentials)


@pytest.mark.parametrize(
    ("kind", "script", "wait_s"),
    [(Verification.ECHO, echoing, 0.0), (Verification.OPTIONS, allowing, 60 / 90)],
)
def test_endpoint_consents(testbed: HttpTestbed, kind: Verification, script: Script, wait_s: float) -> None:
    report = asked(testbed, kind, script)
    assert (report.kind, report.delivery, report.wait_s) == (ReportKind.VERIFIED, "question", wait_s)
    assert report.success is not None
    assert (report.success.status, report.success.at, report.failure) == (200, WALL, None)


def test_consent_is_read_after_a_wait_for_a_token(plain_testbed: HttpTestbed) -> None:
    assert asked(plain_testbed, Verification.ECHO, echoing, with_token=True).kind is ReportKind.VERIFIED


@pytest.mark.parametrize("kind", [Verification.ECHO, Verification.OPTIONS])
@pytest.mark.parametrize(("script", "code"), [(indifferent, "consent_missing"), (silent, "connection_reset")])
def test_endpoint_does_not_consent(plain_testbed: HttpTestbed, kind: Verification, script: Script, code: str) -> None:
    report = asked(plain_testbed, kind, script)
    assert report.failure is not None
    assert (report.kind, report.failure.error) == (ReportKind.UNVERIFIED, code)
