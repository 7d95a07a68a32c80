"""Connections that are kept, become stale, fail, or accept a body slowly."""

import hashlib
import threading
from dataclasses import replace

import pytest

from tests.harness.hostile_server import OK, Peer, answering
from tests.harness.http_testbed import QUICK, HttpTestbed, code, holds_on_loop, post, response
from webhookd.flow.attempt.exchange_result import Failure, FailureCode

BIG = b"0123456789abcdef" * (6 * 1024 * 1024 // 16)


def test_stale_connection_is_replaced_without_failure(testbed: HttpTestbed) -> None:
    exchanged = testbed.exchange(answering(OK), times=3)
    assert [response(outcome).status for outcome in exchanged.outcomes] == [200] * 3
    assert exchanged.server.accepted == 3


def test_reset_stale_connection_is_replaced_without_failure(testbed: HttpTestbed) -> None:
    def script(peer: Peer) -> None:
        peer.answer(OK)
        peer.request_head()
        peer.reset()

    exchanged = testbed.exchange(script, times=2)
    assert [response(outcome).status for outcome in exchanged.outcomes] == [200, 200]


def test_stale_connection_is_not_counted_as_a_response(testbed: HttpTestbed) -> None:
    seen: list[bytes] = []

    def script(peer: Peer) -> None:
        seen.append(peer.request())
        peer.send(b"HTTP/1.1 204 No Content\r\n\r\n")

    exchanged = testbed.exchange(script, times=20)
    assert [response(outcome).status for outcome in exchanged.outcomes] == [204] * 20
    assert len([request for request in seen if request]) == 20, "every counted request was received"


def test_stale_connection_is_replaced_only_once(testbed: HttpTestbed) -> None:
    def script(peer: Peer) -> None:
        if peer.number == 0:
            peer.answer(OK)
        peer.request()

    exchanged = testbed.exchange(script, times=2)
    assert response(exchanged.outcomes[0]).status == 200
    assert code(exchanged.outcomes[1]) is FailureCode.CONNECTION_RESET
    assert exchanged.server.accepted == 2


def test_new_connection_that_ends_is_not_retried(testbed: HttpTestbed) -> None:
    exchanged = testbed.exchange(answering(b""))
    assert code(exchanged.outcomes[0]) is FailureCode.CONNECTION_RESET
    assert exchanged.server.accepted == 1


@pytest.mark.parametrize("begun", [b"HTTP/1.1 2", b"\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_connection_that_ends_after_a_byte_is_not_replaced(testbed: HttpTestbed, begun: bytes) -> None:
    exchanged = testbed.exchange(answering(OK, begun), times=2)
    assert code(exchanged.outcomes[1]) is FailureCode.CONNECTION_RESET
    assert exchanged.server.accepted == 1


def test_half_closed_server_still_answers(testbed: HttpTestbed) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(OK)
        peer.end_writing()
        peer.wait_closed()

    exchanged = testbed.exchange(script, times=2)
    assert [response(outcome).status for outcome in exchanged.outcomes] == [200, 200]
    assert exchanged.server.accepted == 2


def test_big_body_leaves_in_parts(testbed: HttpTestbed) -> None:
    digests: list[str] = []

    def script(peer: Peer) -> None:
        peer.request_head()
        peer.pause(0.05)
        digests.append(peer.body_digest(len(BIG)))
        peer.send(OK)
        peer.answer(OK)

    target = testbed.target(testbed.serve(script))
    outcomes = testbed.submit(testbed.loop(), target, post(target, BIG), post(target)).wait()
    assert [response(outcome).status for outcome in outcomes] == [200, 200]
    assert digests == [hashlib.sha256(BIG).hexdigest()]


def test_big_body_on_stale_connection_is_sent_anew(testbed: HttpTestbed) -> None:
    digests: list[str] = []

    def script(peer: Peer) -> None:
        if peer.number == 0:
            peer.answer(OK)
            return
        peer.request_head()
        digests.append(peer.body_digest(len(BIG)))
        peer.send(OK)

    target = testbed.target(testbed.serve(script))
    outcomes = testbed.submit(testbed.loop(), target, post(target), post(target, BIG)).wait()
    assert [response(outcome).status for outcome in outcomes] == [200, 200]
    assert digests == [hashlib.sha256(BIG).hexdigest()]


def test_answer_before_body_was_read_counts(testbed: HttpTestbed) -> None:
    def script(peer: Peer) -> None:
        peer.request_head()
        peer.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n" if peer.number == 0 else OK)
        peer.wait_closed()

    server = testbed.serve(script)
    target = testbed.target(server)
    outcomes = testbed.submit(testbed.loop(), target, post(target, BIG), post(target)).wait()
    assert [response(outcome).status for outcome in outcomes] == [413, 200]
    assert server.accepted == 2


def test_answer_and_reset_before_body_was_read(plain_testbed: HttpTestbed) -> None:
    def script(peer: Peer) -> None:
        peer.request_head()
        peer.send(b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")

    target = plain_testbed.target(plain_testbed.serve(script))
    assert response(plain_testbed.submit(plain_testbed.loop(), target, post(target, BIG)).wait()[0]).status == 413


def test_reader_that_never_reads_times_out(testbed: HttpTestbed) -> None:
    def script(peer: Peer) -> None:
        while not peer.pause(0.05):
            pass

    target = testbed.target(testbed.serve(script))
    failure = testbed.submit(testbed.loop(), target, post(target, BIG), deadline_s=0.2).wait()[0]
    assert code(failure) is FailureCode.TIMEOUT
    assert isinstance(failure, Failure)
    assert failure.sent


def test_next_sequence_takes_the_idle_connection(testbed: HttpTestbed) -> None:
    server = testbed.serve(answering(*[OK] * 3))
    loop = testbed.loop()
    for _ in range(3):
        assert response(testbed.submit(loop, testbed.target(server)).wait()[0]).status == 200
    assert server.accepted == 1


def test_latest_idle_connection_is_taken_first(testbed: HttpTestbed) -> None:
    together = threading.Barrier(2)
    used: list[int] = []

    def script(peer: Peer) -> None:
        peer.request()
        together.wait(5)
        peer.send(OK)
        while peer.request():
            used.append(peer.number)
            peer.send(OK)

    loop = testbed.loop()
    target = testbed.target(testbed.serve(script))
    for sequence in [testbed.submit(loop, target) for _ in range(2)]:
        sequence.wait()
    assert holds_on_loop(loop, lambda: loop.open_exchanges == 0)
    for _ in range(4):
        testbed.submit(loop, target).wait()
        assert holds_on_loop(loop, lambda: loop.open_exchanges == 0)
    assert len(set(used)) == 1


def test_idle_connection_is_closed_in_time(testbed: HttpTestbed) -> None:
    loop = testbed.loop(replace(QUICK, idle_timeout_s=0.05))
    testbed.submit(loop, testbed.target(testbed.serve(answering(OK, OK)))).wait()
    assert holds_on_loop(loop, lambda: loop.connections == 0)


def test_idle_connection_ends_before_its_server_ends_it(testbed: HttpTestbed) -> None:
    short, long = (OK.replace(b"\r\n", b"\r\nKeep-Alive: timeout=%d\r\n" % seconds, 1) for seconds in (1, 9))
    loop = testbed.loop()
    testbed.submit(loop, testbed.target(testbed.serve(answering(long, OK)))).wait()
    assert holds_on_loop(loop, lambda: loop.open_exchanges == 0)
    testbed.submit(loop, testbed.target(testbed.serve(answering(short, OK)))).wait()
    assert holds_on_loop(loop, lambda: loop.open_exchanges == 0)
    assert loop.connections == 1, "a server that closes after a second gets no chance to meet a request"


def test_idle_connection_closed_by_server_is_removed(testbed: HttpTestbed) -> None:
    loop = testbed.loop()
    testbed.submit(loop, testbed.target(testbed.serve(answering(OK)))).wait()
    assert holds_on_loop(loop, lambda: loop.connections == 0)


def test_idle_connection_with_unrequested_bytes_is_closed(testbed: HttpTestbed) -> None:
    def script(peer: Peer) -> None:
        peer.answer(OK)
        peer.pause(0.05)
        peer.send(OK)
        peer.wait_closed()

    loop = testbed.loop()
    testbed.submit(loop, testbed.target(testbed.serve(script))).wait()
    assert holds_on_loop(loop, lambda: loop.connections == 0)


def test_idle_connections_are_bounded_per_origin(testbed: HttpTestbed) -> None:
    together = threading.Barrier(3)

    def script(peer: Peer) -> None:
        peer.request()
        together.wait(5)
        peer.send(OK)
        peer.wait_closed()

    loop = testbed.loop(replace(QUICK, idle_per_origin=1))
    target = testbed.target(testbed.serve(script))
    for sequence in [testbed.submit(loop, target) for _ in range(3)]:
        sequence.wait()
    assert holds_on_loop(loop, lambda: loop.connections == 1)


def test_idle_connections_are_bounded_in_total(testbed: HttpTestbed) -> None:
    loop = testbed.loop(replace(QUICK, idle_total=2))
    servers = [testbed.serve(answering(OK, OK)) for _ in range(3)]
    for server in servers:
        testbed.submit(loop, testbed.target(server)).wait()
    assert holds_on_loop(loop, lambda: loop.connections == 2)
    testbed.submit(loop, testbed.target(servers[0])).wait()
    assert servers[0].accepted == 2, "the connection that was idle longest was closed"
