"""How the client handles responses, in pieces of any size. Invalid ones are in test_hostile_routes.py."""

import pytest

from tests.harness.hostile_server import OK, Peer, answering
from tests.harness.http_testbed import HttpTestbed, code, response
from webhookd.flow.attempt.exchange_result import FailureCode

CHUNKED = (
    b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3;x=y\r\ncde\r\n0\r\nTrailer: t\r\n\r\n"
)
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"


def test_hands_over_status_head_and_body(testbed: HttpTestbed) -> None:
    exchanged = testbed.exchange(answering(OK))
    answer = response(exchanged.outcomes[0])
    assert (answer.status, answer.head, answer.body) == (200, b"HTTP/1.1 200 OK\r\nContent-Length: 2", b"ok")
    assert 0 < answer.elapsed_s < 5


def test_sends_exactly_the_request_it_was_given(testbed: HttpTestbed) -> None:
    seen: list[bytes] = []

    def script(peer: Peer) -> None:
        seen.append(peer.request())
        peer.send(OK)

    testbed.exchange(script, b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc")
    assert seen == [b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"]


def test_sequence_of_requests_shares_one_connection(testbed: HttpTestbed) -> None:
    exchanged = testbed.exchange(answering(*[OK] * 20), times=20)
    assert [response(outcome).status for outcome in exchanged.outcomes] == [200] * 20
    assert exchanged.server.accepted == 1


def test_different_responses_are_distinguished(testbed: HttpTestbed) -> None:
    error = b"HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\nno"
    exchanged = testbed.exchange(answering(OK, OK, error, OK, error, error, CHUNKED, OK), times=8)
    assert [response(outcome).status for outcome in exchanged.outcomes] == [200, 200, 500, 200, 500, 500, 202, 200]
    assert [response(outcome).body for outcome in exchanged.outcomes[5:]] == [b"no", b"abcde", b"ok"]


def test_response_byte_by_byte_is_put_together(testbed: HttpTestbed) -> None:
    def script(peer: Peer) -> None:
        for answer in (OK, CHUNKED, CONTINUE + OK):
            peer.request()
            peer.drip(answer)

    exchanged = testbed.exchange(script, times=3)
    assert [(response(outcome).status, response(outcome).body) for outcome in exchanged.outcomes] == [
        (200, b"ok"),
        (202, b"abcde"),
        (200, b"ok"),
    ]
    assert exchanged.server.accepted == 1


def test_late_response_within_deadline_counts(testbed: HttpTestbed) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.pause(0.15)
        peer.send(OK)

    answer = response(testbed.exchange(script).outcomes[0])
    assert answer.elapsed_s >= 0.15


def test_interim_responses_are_skipped(testbed: HttpTestbed) -> None:
    exchanged = testbed.exchange(answering(CONTINUE + EARLY_HINTS + OK, OK), times=2)
    answer = response(exchanged.outcomes[0])
    assert (answer.status, answer.head) == (200, b"HTTP/1.1 200 OK\r\nContent-Length: 2")
    assert exchanged.server.accepted == 1


def test_flood_of_interim_responses_is_malformed(testbed: HttpTestbed) -> None:
    assert code(testbed.exchange(answering(CONTINUE * 5000 + OK)).outcomes[0]) is FailureCode.RESPONSE_MALFORMED


def test_chunked_response_leaves_connection_usable(testbed: HttpTestbed) -> None:
    exchanged = testbed.exchange(answering(CHUNKED, CHUNKED, OK), times=3)
    assert [response(outcome).body for outcome in exchanged.outcomes] == [b"abcde", b"abcde", b"ok"]
    assert exchanged.server.accepted == 1


@pytest.mark.parametrize(
    "last",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\n\r\nok",
    ],
    ids=["connection-close", "http-1.0", "ended-by-close", "unchunked-coding", "http-1.0-ended-by-close"],
)
def test_next_request_takes_new_connection(testbed: HttpTestbed, last: bytes) -> None:
    exchanged = testbed.exchange(answering(last), times=3)
    assert [response(outcome).body for outcome in exchanged.outcomes] == [b"ok"] * 3
    assert exchanged.server.accepted == 3


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_status_without_body_ends_with_head(testbed: HttpTestbed, status: bytes) -> None:
    exchanged = testbed.exchange(answering(b"HTTP/1.1 " + status + b"\r\nServer: s\r\n\r\n", OK), times=2)
    assert response(exchanged.outcomes[0]).body == b""
    assert response(exchanged.outcomes[1]).body == b"ok"
    assert exchanged.server.accepted == 1


def test_redirect_is_an_answer_like_any(testbed: HttpTestbed) -> None:
    redirect = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    exchanged = testbed.exchange(answering(redirect))
    assert response(exchanged.outcomes[0]).status == 302
    assert exchanged.server.accepted == 1


def test_body_is_kept_up_to_bound(testbed: HttpTestbed) -> None:
    exchanged = testbed.exchange(
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: 90000\r\n\r\n" + b"x" * 90_000, OK), times=2
    )
    assert [len(response(outcome).body) for outcome in exchanged.outcomes] == [1024, 2]
    assert exchanged.server.accepted == 1


def test_oversize_interim_head_is_too_large(plain_testbed: HttpTestbed) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 103 Early Hints\r\n")
        while not peer.pause(0.0001):
            peer.send(b"X-Filler: " + b"x" * 200 + b"\r\n")

    assert code(plain_testbed.exchange(script).outcomes[0]) is FailureCode.RESPONSE_TOO_LARGE


@pytest.mark.parametrize("junk", [b"GARBAGE", OK, b"HT"], ids=["garbage", "second-response", "half-a-word"])
def test_bytes_after_response_close_the_connection(testbed: HttpTestbed, junk: bytes) -> None:
    exchanged = testbed.exchange(answering(OK + junk, b"HTTP/1.1 500 Mixed Up\r\nContent-Length: 0\r\n\r\n"), times=2)
    assert [(response(outcome).status, response(outcome).body) for outcome in exchanged.outcomes] == [(200, b"ok")] * 2
    assert exchanged.server.accepted == 2
