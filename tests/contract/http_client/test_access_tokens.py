"""Access tokens over real connections: a worker's token source and senders on its loop, a token endpoint, an endpoint.

Oracle: the token endpoint counts the tokens that it issues, and the endpoint accepts only tokens that are valid there.
"""

import base64
import json
import threading
from collections import Counter
from dataclasses import replace

import pytest

from tests.harness.delivery_senders import batches_of, ref, template
from tests.harness.hostile_server import OK, Peer, answering
from tests.harness.http_testbed import QUICK, HttpTestbed, holds_on_loop
from webhookd.clock import monotonic
from webhookd.flow.attempt.target import Target, request_head
from webhookd.flow.destination import ClientCredentials
from webhookd.flow.subscription import Retry
from workers.delivery.access_tokens import TokenSources
from workers.delivery.delivery_sender import DeliverySender, RequestTemplate
from workers.delivery.send_limits import Clocks, SendLimits

PATIENCE_S = 10.0
LIFETIME_S = 1000
LOGIN = b"Authorization: Basic " + base64.b64encode(b"client:s3cret")
PATIENT = replace(QUICK, connect_timeout_s=PATIENCE_S)
HANGS_S = 0.3
UNAUTHORIZED = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
LIMITS = SendLimits(budget_s=30.0, deadline_s=PATIENCE_S, lease_s=60.0)


def whole(status: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


class OAuthScene:
    """A token endpoint and an endpoint, each a script for a server, and the tokens that both know."""

    def __init__(self, testbed: HttpTestbed) -> None:
        self.testbed = testbed
        self.loop = testbed.loop(PATIENT)
        self.lock = threading.Lock()
        self.issued = 0
        self.valid = ""
        self.received: Counter[str] = Counter()
        self.ahead_s = 0.0
        self.ended: list[DeliverySender] = []
        self.all_ended = threading.Semaphore(0)

    def issue(self, peer: Peer) -> None:
        """The token endpoint: a new token for whoever shows the client's secret."""
        while request := peer.request():
            with self.lock:
                assert LOGIN in request
                assert request.endswith(b"grant_type=client_credentials&scope=hook")
                self.issued += 1
                self.valid = f"token-{self.issued:04d}"
            answer = {"access_token": self.valid, "token_type": "bearer", "expires_in": LIFETIME_S, "more": "x" * 3000}
            peer.send(whole(b"200 OK", json.dumps(answer).encode()))

    def receive(self, peer: Peer) -> None:
        """The endpoint: 200 for the valid token, 401 for every other one."""
        while request := peer.request():
            token = request.partition(b"Authorization: Bearer ")[2].partition(b"\r\n")[0].decode()
            with self.lock:
                known = token == self.valid
                self.received[token] += known
            peer.send(OK if known else UNAUTHORIZED)

    def template(self, token_url: str, target: Target, deadline_s: float = PATIENCE_S) -> RequestTemplate:
        credentials = ClientCredentials(token_url=token_url, client_id="client", client_secret="s3cret", scope="hook")
        sources = TokenSources(self.loop, monotonic=self.now, wall=lambda: 1.7e9, deadline_s=deadline_s)
        head = request_head(target, [], "application/json")
        found = template(Retry(max_retries=0))
        return replace(found, target=target, head=head, tokens=sources.source(credentials))

    def now(self) -> float:
        return monotonic() + self.ahead_s

    def url(self, port: int) -> str:
        return f"{'https' if self.testbed.tls else 'http'}://127.0.0.1:{port}/token"

    def deliver(self, template_: RequestTemplate, deliveries: int = 1) -> list[DeliverySender]:
        """Send so many deliveries of two batches at the same time; wait for their ends."""
        self.start(template_, deliveries)
        assert all(self.all_ended.acquire(timeout=PATIENCE_S) for _ in range(deliveries))
        return self.ended[-deliveries:]

    def start(self, template_: RequestTemplate, deliveries: int = 1) -> None:
        def ended(sender: DeliverySender) -> None:
            self.ended.append(sender)
            self.all_ended.release()

        clocks = Clocks(monotonic=self.now, wall=lambda: 1.7e9, chance=lambda: 0.5)
        for number in range(deliveries):
            sender = DeliverySender(
                ref(f"d{number}", count=2), batches_of(2), template_, limits=LIMITS, clocks=clocks, ended=ended
            )
            self.loop.submit(sender)


def working(testbed: HttpTestbed) -> tuple[OAuthScene, RequestTemplate]:
    """Both endpoints work."""
    scene = OAuthScene(testbed)
    tokens = testbed.serve(scene.issue)
    return scene, scene.template(scene.url(tokens.port), testbed.target(testbed.serve(scene.receive)))


def outcome(sender: DeliverySender) -> tuple[int, str]:
    return sender.done, sender.failure_code


def test_many_deliveries_ask_for_one_token(testbed: HttpTestbed) -> None:
    scene, made = working(testbed)
    assert {outcome(sender) for sender in scene.deliver(made, 100)} == {(2, "")}
    assert (scene.issued, scene.received) == (1, {"token-0001": 200})


def test_token_is_renewed_before_it_expires(plain_testbed: HttpTestbed) -> None:
    scene, made = working(plain_testbed)
    scene.deliver(made)
    scene.ahead_s += LIFETIME_S - 70
    scene.deliver(made)
    assert scene.issued == 1
    scene.ahead_s += 2 * LIFETIME_S
    assert outcome(*scene.deliver(made)) == (2, "")
    assert (scene.issued, scene.received) == (2, {"token-0001": 4, "token-0002": 2})


def test_renewal_delays_no_delivery(plain_testbed: HttpTestbed) -> None:
    release = threading.Event()
    scene = OAuthScene(plain_testbed)

    def second_is_slow(peer: Peer) -> None:
        if scene.issued:
            release.wait(PATIENCE_S)
        scene.issue(peer)

    tokens = plain_testbed.serve(second_is_slow)
    made = scene.template(scene.url(tokens.port), plain_testbed.target(plain_testbed.serve(scene.receive)))
    scene.deliver(made)
    scene.loop._exchanges.pool.close()  # so that the renewal needs a new connection
    scene.ahead_s += LIFETIME_S - 30
    assert outcome(*scene.deliver(made)) == (2, "")
    assert scene.issued == 1
    release.set()


def test_unauthorized_gets_one_more_token(testbed: HttpTestbed) -> None:
    scene, made = working(testbed)
    scene.deliver(made)
    scene.valid = "revoked"
    assert {outcome(sender) for sender in scene.deliver(made, 20)} == {(2, "")}
    assert (scene.issued, scene.received["token-0002"]) == (2, 40)


def test_second_unauthorized_is_the_endpoints_answer(plain_testbed: HttpTestbed) -> None:
    scene = OAuthScene(plain_testbed)
    tokens = plain_testbed.serve(scene.issue)
    refusing = plain_testbed.serve(answering(*[UNAUTHORIZED] * 10))
    made = scene.template(scene.url(tokens.port), plain_testbed.target(refusing))
    (sender,) = scene.deliver(made)
    assert outcome(sender) == (0, "http_401")
    assert scene.issued == 2


def test_token_endpoint_is_behind_the_guard(plain_testbed: HttpTestbed) -> None:
    scene = OAuthScene(plain_testbed)
    target = plain_testbed.target(plain_testbed.serve(scene.receive))
    (sender,) = scene.deliver(scene.template("http://10.1.2.3/token", target))
    failure = sender.report().failure
    assert failure is not None
    assert (failure.error, "private" in failure.detail) == ("token_not_allowed", True)


@pytest.mark.parametrize(
    ("response", "code"),
    [
        (b"", "token_unavailable"),
        (b"SSH-2.0-OpenSSH_9\r\n", "token_unavailable"),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "token_unavailable"),
        (whole(b"401 Unauthorized", b'{"error":"invalid_client"}'), "token_refused"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n", "token_refused"),
        (whole(b"200 OK", b"<html>"), "token_malformed"),
        (whole(b"200 OK", b'{"access_token":"a\\r\\nX: y"}'), "token_malformed"),
        (whole(b"200 OK", b'{"x":"' + b"y" * 100_000 + b'","access_token":"a"}'), "token_malformed"),
    ],
)
def test_token_endpoint_that_fails_has_its_code(testbed: HttpTestbed, response: bytes, code: str) -> None:
    scene = OAuthScene(testbed)
    tokens = testbed.serve(answering(response))
    made = scene.template(scene.url(tokens.port), testbed.target(testbed.serve(scene.receive)))
    assert {outcome(sender) for sender in scene.deliver(made, 3)} == {(0, code)}
    assert tokens.accepted <= 2, "a stale connection may be tried again; nothing else is"


def test_token_endpoint_that_hangs_fails_at_the_deadline(plain_testbed: HttpTestbed) -> None:
    scene = OAuthScene(plain_testbed)
    target = plain_testbed.target(plain_testbed.serve(scene.receive))
    made = scene.template(scene.url(plain_testbed.serve(Peer.wait_closed).port), target, HANGS_S)
    (sender,) = scene.deliver(made)
    failure = sender.report().failure
    assert failure is not None
    assert (failure.error, failure.detail) == (
        "token_unavailable",
        "the token endpoint: timeout: no answer in time",
    )
    assert sender.elapsed_s >= HANGS_S


def test_token_endpoint_that_hangs_delays_no_other(plain_testbed: HttpTestbed) -> None:
    scene, other = working(plain_testbed)
    target = plain_testbed.target(plain_testbed.serve(scene.receive))
    scene.start(scene.template(scene.url(plain_testbed.serve(Peer.wait_closed).port), target))
    assert holds_on_loop(scene.loop, lambda: scene.loop.open_exchanges == 1)
    assert {outcome(sender) for sender in scene.deliver(other, 50)} == {(2, "")}
    assert len(scene.ended) == 50


def test_stop_ends_deliveries_that_wait_for_a_token(plain_testbed: HttpTestbed) -> None:
    scene = OAuthScene(plain_testbed)
    target = plain_testbed.target(plain_testbed.serve(scene.receive))
    scene.start(scene.template(scene.url(plain_testbed.serve(Peer.wait_closed).port), target), 3)
    assert holds_on_loop(scene.loop, lambda: scene.loop.open_exchanges == 1)
    scene.loop.stop(0.0)
    assert [outcome(sender) for sender in scene.ended] == [(0, "")] * 3
    assert (scene.loop.open_exchanges, scene.loop.connections) == (0, 0)
