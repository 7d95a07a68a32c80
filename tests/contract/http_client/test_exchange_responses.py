"""What the loop makes of the responses a server sends, however it sends them."""

import pytest

from tests.harness.hostile_server import OK, Peer, Script, answering
from tests.harness.running_service import Stage, code, response
from webhookd.flow.attempt.exchange_result import Failure, FailureCode

CHUNKED = (
    b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3;x=y\r\ncde\r\n0\r\nTrailer: t\r\n\r\n"
)
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"


def test_hands_over_status_head_and_body(stage: Stage) -> None:
    played = stage.exchange(answering(OK))
    answer = response(played.outcomes[0])
    assert (answer.status, answer.head, answer.body) == (200, b"HTTP/1.1 200 OK\r\nContent-Length: 2", b"ok")
    assert 0 < answer.elapsed_s < 5


def test_sends_exactly_the_request_it_was_given(stage: Stage) -> None:
    seen: list[bytes] = []

    def script(peer: Peer) -> None:
        seen.append(peer.request())
        peer.send(OK)

    stage.exchange(script, b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc")
    assert seen == [b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"]


def test_sequence_of_requests_shares_one_connection(stage: Stage) -> None:
    played = stage.exchange(answering(*[OK] * 20), times=20)
    assert [response(outcome).status for outcome in played.outcomes] == [200] * 20
    assert played.server.accepted == 1


def test_differing_answers_are_told_apart(stage: Stage) -> None:
    error = b"HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\nno"
    played = stage.exchange(answering(OK, OK, error, OK, error, error, CHUNKED, OK), times=8)
    assert [response(outcome).status for outcome in played.outcomes] == [200, 200, 500, 200, 500, 500, 202, 200]
    assert [response(outcome).body for outcome in played.outcomes[5:]] == [b"no", b"abcde", b"ok"]


def test_response_byte_by_byte_is_put_together(stage: Stage) -> None:
    def script(peer: Peer) -> None:
        for answer in (OK, CHUNKED, CONTINUE + OK):
            peer.request()
            peer.drip(answer)

    played = stage.exchange(script, times=3)
    assert [(response(outcome).status, response(outcome).body) for outcome in played.outcomes] == [
        (200, b"ok"),
        (202, b"abcde"),
        (200, b"ok"),
    ]
    assert played.server.accepted == 1


def test_late_response_within_deadline_counts(stage: Stage) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.pause(0.15)
        peer.send(OK)

    answer = response(stage.exchange(script).outcomes[0])
    assert answer.elapsed_s >= 0.15


def test_interim_responses_are_skipped(stage: Stage) -> None:
    played = stage.exchange(answering(CONTINUE + EARLY_HINTS + OK, OK), times=2)
    answer = response(played.outcomes[0])
    assert (answer.status, answer.head) == (200, b"HTTP/1.1 200 OK\r\nContent-Length: 2")
    assert played.server.accepted == 1


def test_flood_of_interim_responses_is_malformed(stage: Stage) -> None:
    assert code(stage.exchange(answering(CONTINUE * 5000 + OK)).outcomes[0]) is FailureCode.RESPONSE_MALFORMED


def test_switching_protocols_is_malformed(stage: Stage) -> None:
    switch = b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
    assert code(stage.exchange(answering(switch)).outcomes[0]) is FailureCode.RESPONSE_MALFORMED


def test_chunked_response_leaves_connection_usable(stage: Stage) -> None:
    played = stage.exchange(answering(CHUNKED, CHUNKED, OK), times=3)
    assert [response(outcome).body for outcome in played.outcomes] == [b"abcde", b"abcde", b"ok"]
    assert played.server.accepted == 1


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
def test_next_request_takes_new_connection(stage: Stage, last: bytes) -> None:
    played = stage.exchange(answering(last), times=3)
    assert [response(outcome).body for outcome in played.outcomes] == [b"ok"] * 3
    assert played.server.accepted == 3


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_status_without_body_ends_with_head(stage: Stage, status: bytes) -> None:
    played = stage.exchange(answering(b"HTTP/1.1 " + status + b"\r\nServer: s\r\n\r\n", OK), times=2)
    assert response(played.outcomes[0]).body == b""
    assert response(played.outcomes[1]).body == b"ok"
    assert played.server.accepted == 1


def test_redirect_is_an_answer_like_any(stage: Stage) -> None:
    redirect = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    played = stage.exchange(answering(redirect))
    assert response(played.outcomes[0]).status == 302
    assert played.server.accepted == 1


def test_body_is_kept_up_to_bound(stage: Stage) -> None:
    played = stage.exchange(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 90000\r\n\r\n" + b"x" * 90_000, OK), times=2)
    assert [len(response(outcome).body) for outcome in played.outcomes] == [1024, 2]
    assert played.server.accepted == 1


def test_endless_body_ends_the_connection(stage: Stage) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while not peer.pause(0):
            peer.send(b"x" * 65_536)

    answer = response(stage.exchange(script).outcomes[0])
    assert (answer.status, len(answer.body)) == (200, 1024)


@pytest.mark.parametrize(
    ("garbage", "expected"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", FailureCode.RESPONSE_MALFORMED),
        (b"\x00\xff" * 500, FailureCode.RESPONSE_MALFORMED),
        (b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", FailureCode.RESPONSE_MALFORMED),
        (b"HTTP/1.1 2x0 OK\r\n\r\n", FailureCode.RESPONSE_MALFORMED),
        (b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n", FailureCode.RESPONSE_MALFORMED),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", FailureCode.RESPONSE_MALFORMED),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", FailureCode.RESPONSE_MALFORMED),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 20_000 + b"\r\nContent-Length: 0\r\n\r\n", FailureCode.RESPONSE_TOO_LARGE),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000, FailureCode.RESPONSE_TOO_LARGE),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab", FailureCode.CONNECTION_RESET),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", FailureCode.CONNECTION_RESET),
        (b"HTTP/1.1 200 OK\r\nContent-Le", FailureCode.CONNECTION_RESET),
        (b"", FailureCode.CONNECTION_RESET),
    ],
    ids=[
        "other-protocol", "binary", "bare-newlines", "no-status", "no-length", "two-lengths", "bad-chunk",
        "long-header", "many-headers", "cut-body", "cut-chunk", "cut-head", "nothing",
    ],
)  # fmt: skip
def test_what_is_no_response_fails(stage: Stage, garbage: bytes, expected: FailureCode) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(garbage)
        peer.end_writing()
        peer.wait_closed()

    played = stage.exchange(script)
    failure = played.outcomes[0]
    assert code(failure) is expected
    assert isinstance(failure, Failure)
    assert failure.sent
    assert played.server.accepted == 1


def test_oversize_head_dripped_is_too_large(plain_stage: Stage) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n")
        while not peer.pause(0.0001):
            peer.send(b"X-Filler: " + b"x" * 200 + b"\r\n")

    assert code(plain_stage.exchange(script).outcomes[0]) is FailureCode.RESPONSE_TOO_LARGE


@pytest.mark.parametrize("junk", [b"GARBAGE", OK, b"HT"], ids=["garbage", "second-response", "half-a-word"])
def test_junk_behind_response_costs_the_connection(stage: Stage, junk: bytes) -> None:
    played = stage.exchange(answering(OK + junk, b"HTTP/1.1 500 Mixed Up\r\nContent-Length: 0\r\n\r\n"), times=2)
    assert [(response(outcome).status, response(outcome).body) for outcome in played.outcomes] == [(200, b"ok")] * 2
    assert played.server.accepted == 2


@pytest.mark.parametrize("slow", [b"HTTP/1.1 200 OK\r\nX: " + b"y" * 5000, OK[:-2] + b" ", b""])
def test_drip_past_the_deadline_times_out(stage: Stage, slow: bytes) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.drip(slow, pause_s=0.01)
        peer.wait_closed()

    start = b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n"
    played = stage.exchange(script if slow != OK[:-2] + b" " else _drip_body(start), deadline_s=0.2)
    failure = played.outcomes[0]
    assert code(failure) is FailureCode.TIMEOUT
    assert 0.2 <= failure.elapsed_s < 1.0


def _drip_body(start: bytes) -> Script:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(start)
        peer.drip(b"x" * 10_000, pause_s=0.01)

    return script


def test_endless_interim_drip_times_out(stage: Stage) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        while not peer.pause(0.05):
            peer.send(CONTINUE)

    assert code(stage.exchange(script, deadline_s=0.2).outcomes[0]) is FailureCode.TIMEOUT
