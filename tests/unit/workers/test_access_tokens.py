"""The tokens of a worker: one request at a time, renewed before their end. The test answers, and moves the clock."""

import gc
import json
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.harness.delivery_senders import no_answer
from tests.harness.metrics import LiveMetrics
from webhookd.edges.http_client.exchange import RequestSequence
from webhookd.flow.attempt.access_token import RESPONSE_BYTES
from webhookd.flow.attempt.exchange_result import Failure, FailureCode, Outcome, Response
from webhookd.flow.destination import ClientCredentials
from workers.delivery.access_tokens import LONGEST_REST_S, REPLACED_S, REST_S, TokenSources

CREDENTIALS = ClientCredentials(token_url="https://login.example.com/token", client_id="a", client_secret="s3cret")


class TokenScene:
    """A token source over a loop that only notes what is submitted, and a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.submitted: list[tuple[RequestSequence, int]] = []
        self.sources = TokenSources(self, monotonic=lambda: self.now, wall=lambda: 1.7e9, deadline_s=15.0)
        self.source = self.sources.source(CREDENTIALS)

    def submit(self, sequence: RequestSequence, *, body_bytes: int = 0) -> None:
        self.submitted.append((sequence, body_bytes))

    @property
    def requests(self) -> int:
        """How often a token was asked for."""
        return len([sequence for sequence, _ in self.submitted if sequence is self.source])

    def line(self) -> bytes | Failure | None:
        return self.source.line(self.now)

    def answer(self, token: str, expires_in: float = 1000.0) -> bytes:
        """The token endpoint answers; returns the header line with the token."""
        body = json.dumps({"access_token": token, "expires_in": expires_in}).encode()
        self.ends(Response(status=200, head=b"HTTP/1.1 200 OK", body=body, elapsed_s=0.0))
        return b"Authorization: Bearer %b\r\n" % token.encode()

    def ends(self, outcome: Outcome) -> None:
        assert self.source.advance(None) is not None
        assert self.source.advance(outcome) is None


def test_deliveries_wait_for_one_request() -> None:
    scene = TokenScene()
    waiting: list[Any] = [object() for _ in range(100)]
    for one in waiting:
        assert scene.line() is None
        scene.source.wait(one)
    assert scene.submitted == [(scene.source, RESPONSE_BYTES)]
    line = scene.answer("t1")
    assert [one for one, _ in scene.submitted[1:]] == waiting
    assert (scene.line(), scene.requests) == (line, 1)


def test_token_is_renewed_while_it_is_used() -> None:
    scene = TokenScene()
    scene.line()
    first = scene.answer("t1")
    scene.now += 939.0
    assert (scene.line(), scene.requests) == (first, 1)
    scene.now += 1.0
    assert [scene.line() for _ in range(5)] == [first] * 5
    assert scene.requests == 2
    second = scene.answer("t2")
    assert (scene.line(), scene.requests) == (second, 2)


def test_renewal_that_fails_leaves_the_token_until_its_end() -> None:
    scene = TokenScene()
    scene.line()
    first = scene.answer("t1")
    scene.now += 940.0
    scene.line()
    scene.ends(no_answer(FailureCode.TIMEOUT))
    assert (scene.line(), scene.requests) == (first, 2)
    scene.now += REST_S
    assert (scene.line(), scene.requests) == (first, 3)
    scene.ends(no_answer(FailureCode.TIMEOUT))
    scene.now += 50.0
    assert (scene.line(), scene.requests) == (None, 4)


def test_failure_reaches_all_that_wait_and_the_next_asks_after_a_rest() -> None:
    scene = TokenScene()
    waiting: Any = object()
    scene.line()
    scene.source.wait(waiting)
    with capture_logs() as lines:
        scene.ends(no_answer(FailureCode.CONNECT_REFUSED))
    assert scene.submitted[-1] == (waiting, 0)
    failure = scene.line()
    assert isinstance(failure, Failure)
    assert (failure.code, scene.requests) == (FailureCode.TOKEN_UNAVAILABLE, 1)
    assert [(line["event"], line["code"], line["host"]) for line in lines] == [
        ("token_request_failed", "token_unavailable", "login.example.com")
    ]
    scene.now += REST_S
    assert (scene.line(), scene.requests) == (None, 2)


@pytest.mark.parametrize(("asked_s", "rest_s"), [(30, 30.0), (9999, LONGEST_REST_S)])
def test_rest_is_as_long_as_the_token_endpoint_asks(asked_s: int, rest_s: float) -> None:
    scene = TokenScene()
    scene.line()
    scene.ends(Response(status=429, head=b"HTTP/1.1 429\r\nRetry-After: %d" % asked_s, body=b"", elapsed_s=0.0))
    scene.now += rest_s - 0.5
    assert isinstance(scene.line(), Failure)
    scene.now += 0.5
    assert scene.line() is None


def test_refused_token_is_replaced_once_for_all() -> None:
    scene = TokenScene()
    scene.line()
    first = scene.answer("t1")
    assert [scene.source.refused(first, scene.now) for _ in range(3)] == [True] * 3
    assert (scene.line(), scene.line(), scene.requests) == (None, None, 2)
    second = scene.answer("t2")
    assert scene.source.refused(first, scene.now), "it has been replaced meanwhile"
    assert (scene.line(), scene.requests) == (second, 2)


def test_endpoint_that_refuses_every_token_does_not_flood_the_token_endpoint() -> None:
    scene = TokenScene()
    scene.line()
    first = scene.answer("t1")
    assert scene.source.refused(first, scene.now)
    scene.line()
    second = scene.answer("t2")
    assert not scene.source.refused(second, scene.now)
    assert (scene.line(), scene.requests) == (second, 2)
    scene.now += REPLACED_S
    assert scene.source.refused(second, scene.now)


def test_shutdown_is_no_failure_of_the_token_endpoint() -> None:
    scene = TokenScene()
    scene.line()
    with capture_logs() as lines:
        scene.ends(no_answer(FailureCode.SHUTDOWN))
    failure = scene.line()
    assert isinstance(failure, Failure)
    assert (failure.code, lines) == (FailureCode.SHUTDOWN, [])


def test_equal_credentials_share_a_source_as_long_as_it_is_used() -> None:
    scene = TokenScene()
    equal = ClientCredentials(token_url="https://login.example.com/token", client_id="a", client_secret="s3cret")
    other = ClientCredentials(token_url="https://login.example.com/token", client_id="a", client_secret="other")
    assert scene.sources.source(equal) is scene.source
    assert scene.sources.source(other) is not scene.source
    scene.line()
    scene.answer("t1")
    scene.submitted.clear()
    del scene.source
    gc.collect()
    assert scene.sources.source(equal).line(scene.now) is None


def test_requests_are_counted_by_their_result(live_metrics: LiveMetrics) -> None:
    scene = TokenScene()
    refused = Response(status=401, head=b"HTTP/1.1 401", body=b"", elapsed_s=0.0)
    outcomes = (refused, no_answer(FailureCode.TIMEOUT), no_answer(FailureCode.SHUTDOWN))
    for outcome in outcomes:
        scene.ends(outcome)
    for number in range(2):
        scene.answer(f"t{number}")
    seen = live_metrics.read()
    counted = {one.labels["result"]: one.value for one in seen.series("webhookd_token_requests_total")}
    assert counted == {"granted": 2, "token_refused": 1, "token_unavailable": 1}
