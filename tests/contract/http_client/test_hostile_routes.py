"""Every behaviour of a hostile server, over TLS and not: acknowledged, or ended with a named reason in time.

Oracle: the tables of tests/harness/odd_responses.py and hostile_routes.py. All routes of a table run at once.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import pytest

from tests.harness import odd_responses as odd
from tests.harness.hostile_routes import (
    BROKEN_HANDSHAKES,
    HEAD,
    LATE,
    NEVER_ENDING,
    SLOW_HANDSHAKES,
    Routes,
    closed,
    half_closed,
    kept_open,
    session_ended,
    slug,
)
from tests.harness.hostile_server import OK, Peer, Script
from tests.harness.http_testbed import QUICK, Authority, HttpTestbed, RecordingSequence, code, post, response
from webhookd.edges.http_client.limits import Limits
from webhookd.flow.attempt.exchange_result import Failure, FailureCode, Outcome
from webhookd.flow.attempt.target import Target

REST_WAIT_S = 0.2
# No connection goes from one route to another, and sixty handshakes at once take their time.
LIMITS = replace(QUICK, rest_wait_s=REST_WAIT_S, idle_per_origin=0, connect_timeout_s=5.0)
DEADLINE_S = 0.4
LATE_S = 1.0
"""A named reason comes within a second after the deadline."""


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def both(request: pytest.FixtureRequest, authority: Authority) -> Iterator[HttpTestbed]:
    """Test beds without and with TLS."""
    with HttpTestbed(tls=request.param, authority=authority) as testbed:
        yield testbed


class Requested:
    """The outcomes of each route's requests."""

    def __init__(self, testbed: HttpTestbed, routes: Mapping[str, Script], *, times: int, deadline_s: float) -> None:
        self.routes = Routes(routes)
        server, loop = testbed.serve(self.routes), testbed.loop(LIMITS)
        scheme = "https" if testbed.tls else "http"
        sequences = {}
        for name in routes:
            target = Target.parse(f"{scheme}://127.0.0.1:{server.port}{slug(name)}")
            sequences[name] = RecordingSequence(target, [post(target)] * times, deadline_s)
            loop.submit(sequences[name])
        self.outcomes: dict[str, list[Outcome]] = {name: sequence.wait() for name, sequence in sequences.items()}


@pytest.mark.parametrize("ending", [kept_open, closed, half_closed, session_ended])
def test_whole_status_line_is_acknowledged(both: HttpTestbed, ending: Callable[[bytes], Script]) -> None:
    routes = {name: ending(data) for name, data in odd.ACKNOWLEDGED.items()}
    requested = Requested(both, routes, times=2, deadline_s=5.0)
    for name, outcomes in requested.outcomes.items():
        assert (name, [response(outcome).status // 100 for outcome in outcomes]) == (name, [2, 2])
        assert name not in odd.TWO_LENGTHS or [response(outcome).body for outcome in outcomes] == [b"ok"] * 2, name
        reused = name in odd.REUSABLE and ending is kept_open
        assert (name, requested.routes.connections(name)) == (name, 1 if reused else 2)


def test_never_ending_answer_is_acknowledged_and_cut(both: HttpTestbed) -> None:
    for name, outcomes in Requested(both, NEVER_ENDING, times=1, deadline_s=5.0).outcomes.items():
        answer = response(outcomes[0])
        assert (name, answer.status) == (name, 200)
        assert answer.elapsed_s < REST_WAIT_S + LATE_S, name
        assert len(answer.body) <= 1024


def test_deadline_before_the_wait_ends_acknowledges(plain_testbed: HttpTestbed) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        NEVER_ENDING["event stream"](peer)

    loop, target = (
        plain_testbed.loop(replace(QUICK, rest_wait_s=60.0)),
        plain_testbed.target(plain_testbed.serve(script)),
    )
    assert response(plain_testbed.submit(loop, target, deadline_s=DEADLINE_S).wait()[0]).status == 200


def test_late_answer_times_out(both: HttpTestbed) -> None:
    for name, outcomes in Requested(both, LATE, times=1, deadline_s=DEADLINE_S).outcomes.items():
        assert (name, code(outcomes[0])) == (name, FailureCode.TIMEOUT)
        assert DEADLINE_S <= outcomes[0].elapsed_s < DEADLINE_S + LATE_S, name


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (odd.MALFORMED, FailureCode.RESPONSE_MALFORMED),
        (odd.TOO_LARGE, FailureCode.RESPONSE_TOO_LARGE),
        (odd.CUT_SHORT, FailureCode.CONNECTION_RESET),
    ],
    ids=["malformed", "too large", "cut short"],
)
@pytest.mark.parametrize("ending", [half_closed, session_ended])
def test_answer_without_a_status_line_fails(
    both: HttpTestbed, table: Mapping[str, bytes], expected: FailureCode, ending: Callable[[bytes], Script]
) -> None:
    routes = {name: ending(data) for name, data in table.items()}
    requested = Requested(both, routes, times=1, deadline_s=5.0)
    for name, outcomes in requested.outcomes.items():
        assert (name, code(outcomes[0]), requested.routes.connections(name)) == (name, expected, 1)
        assert isinstance(outcomes[0], Failure)
        assert outcomes[0].sent


def test_half_closed_connection_fails_with_most_of_the_request_unsent(both: HttpTestbed) -> None:
    def script(peer: Peer) -> None:
        peer.end_writing()
        while not peer.pause(0.05):
            pass

    target = both.target(both.serve(script))
    outcome = both.submit(both.loop(LIMITS), target, post(target, b"x" * 8_000_000)).wait()[0]
    assert code(outcome) is FailureCode.CONNECTION_RESET


def shake_hands(
    testbed: HttpTestbed, scripts: Mapping[str, Script], limits: Limits, deadline_s: float
) -> list[Failure]:
    """The failures of a request to each of these servers, which have no TLS, all at once."""
    loop = testbed.loop(limits)
    sequences = []
    for script in scripts.values():
        target = testbed.target(testbed.proxy(script))
        sequences.append(testbed.submit(loop, target, deadline_s=deadline_s))
    outcomes = [sequence.wait()[0] for sequence in sequences]
    return [outcome for outcome in outcomes if isinstance(outcome, Failure)]


@pytest.mark.parametrize(("connect_timeout_s", "deadline_s"), [(DEADLINE_S, 5.0), (5.0, DEADLINE_S)])
def test_slow_handshake_times_out(tls_testbed: HttpTestbed, connect_timeout_s: float, deadline_s: float) -> None:
    limits = replace(LIMITS, connect_timeout_s=connect_timeout_s)
    failures = shake_hands(tls_testbed, SLOW_HANDSHAKES, limits, deadline_s)
    assert [(failure.code, failure.sent) for failure in failures] == [(FailureCode.CONNECT_TIMEOUT, False)] * 2
    assert all(DEADLINE_S <= failure.elapsed_s < DEADLINE_S + LATE_S for failure in failures)


def test_broken_handshake_fails(tls_testbed: HttpTestbed) -> None:
    failures = shake_hands(tls_testbed, BROKEN_HANDSHAKES, LIMITS, 5.0)
    found = dict(zip(BROKEN_HANDSHAKES, [failure.code for failure in failures], strict=True))
    assert found == dict.fromkeys(BROKEN_HANDSHAKES, FailureCode.TLS_FAILED)


@pytest.mark.parametrize("size", [20_000, 400_000, 4_000_000])
def test_early_refusal_with_a_reset_is_the_status(both: HttpTestbed, size: int) -> None:
    """The server resets the connection with most of the request unread, and resumes the TLS session each time."""

    def script(peer: Peer) -> None:
        peer.request_head()
        peer.send(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % (401 if peer.number % 2 else 413))

    target = both.target(both.serve(script))
    loop = both.loop(Limits(sweep_interval_s=0.2))  # so long that only the session tickets let the rest go
    request = post(target, b"x" * size)
    outcomes = [both.submit(loop, target, request).wait()[0] for _ in range(12)]
    assert [response(outcome).status for outcome in outcomes] == [413, 401] * 6


def test_large_request_goes_on_without_session_tickets(authority: Authority) -> None:
    with HttpTestbed(tls=True, authority=authority) as testbed:
        context = authority.context("127.0.0.1")
        context.num_tickets = 0
        target = testbed.target(testbed.serve(lambda peer: peer.answer(OK, OK), context))
        outcomes = testbed.submit(testbed.loop(), target, *[post(target, b"x" * 300_000)] * 2).wait()
        assert [response(outcome).status for outcome in outcomes] == [200, 200]


def test_aborted_request_with_a_status_line_is_acknowledged(both: HttpTestbed) -> None:
    """Its receiver has taken it; the next request is not sent any more."""
    sent = threading.Event()

    def script(peer: Peer) -> None:
        if peer.number == 0:
            peer.send_without_delay()
            peer.request()
            peer.send(HEAD)
            sent.set()
            peer.wait_closed()
        else:
            sent.wait(5)
            peer.answer(OK)

    loop = both.loop(replace(LIMITS, rest_wait_s=60.0))
    target = both.target(both.serve(script))
    sequence = both.submit(loop, target, post(target), post(target))
    assert sent.wait(5)
    response(both.submit(loop, target).wait()[0])  # when this response has been read, so has the status line
    loop.abort_all()
    first, second = sequence.wait()
    assert response(first).status == 200
    assert code(second) is FailureCode.SHUTDOWN
    assert isinstance(second, Failure)
    assert not second.sent
