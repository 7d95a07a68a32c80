"""Connections that are kept, go stale, break, or take a body slowly."""

import hashlib
import threading
from dataclasses import replace

from tests.harness.hostile_server import OK, Peer, answering
from tests.harness.running_service import QUICK, Stage, code, comes_true, post, response
from webhookd.flow.attempt.exchange_result import Failure, FailureCode

BIG = b"0123456789abcdef" * (6 * 1024 * 1024 // 16)


def test_stale_connection_is_replaced_unnoticed(stage: Stage) -> None:
    played = stage.exchange(answering(OK), times=3)
    assert [response(outcome).status for outcome in played.outcomes] == [200] * 3
    assert played.server.accepted == 3


def test_reset_stale_connection_is_replaced_unnoticed(stage: Stage) -> None:
    def script(peer: Peer) -> None:
        peer.answer(OK)
        peer.request_head()
        peer.reset()

    played = stage.exchange(script, times=2)
    assert [response(outcome).status for outcome in played.outcomes] == [200, 200]


def test_stale_connection_is_no_second_answer(stage: Stage) -> None:
    seen: list[bytes] = []

    def script(peer: Peer) -> None:
        seen.append(peer.request())
        peer.send(b"HTTP/1.1 204 No Content\r\n\r\n")

    played = stage.exchange(script, times=20)
    assert [response(outcome).status for outcome in played.outcomes] == [204] * 20
    assert len([request for request in seen if request]) == 20, "what counts as delivered has been received"


def test_stale_connection_is_replaced_only_once(stage: Stage) -> None:
    def script(peer: Peer) -> None:
        if peer.number == 0:
            peer.answer(OK)
        peer.request()

    played = stage.exchange(script, times=2)
    assert response(played.outcomes[0]).status == 200
    assert code(played.outcomes[1]) is FailureCode.CONNECTION_RESET
    assert played.server.accepted == 2


def test_new_connection_that_ends_is_not_retried(stage: Stage) -> None:
    played = stage.exchange(answering(b""))
    assert code(played.outcomes[0]) is FailureCode.CONNECTION_RESET
    assert played.server.accepted == 1


def test_break_in_mid_response_is_not_retried(stage: Stage) -> None:
    played = stage.exchange(answering(OK, b"HTTP/1.1 2"), times=2)
    assert code(played.outcomes[1]) is FailureCode.CONNECTION_RESET
    assert played.server.accepted == 1


def test_half_closed_server_still_answers(stage: Stage) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(OK)
        peer.end_writing()
        peer.wait_closed()

    played = stage.exchange(script, times=2)
    assert [response(outcome).status for outcome in played.outcomes] == [200, 200]
    assert played.server.accepted == 2


def test_big_body_leaves_in_parts(stage: Stage) -> None:
    digests: list[str] = []

    def script(peer: Peer) -> None:
        peer.request_head()
        peer.pause(0.05)
        digests.append(peer.body_digest(len(BIG)))
        peer.send(OK)
        peer.answer(OK)

    target = stage.target(stage.serve(script))
    outcomes = stage.submit(stage.loop(), target, post(target, BIG), post(target)).wait()
    assert [response(outcome).status for outcome in outcomes] == [200, 200]
    assert digests == [hashlib.sha256(BIG).hexdigest()]


def test_big_body_on_stale_connection_is_sent_anew(stage: Stage) -> None:
    digests: list[str] = []

    def script(peer: Peer) -> None:
        if peer.number == 0:
            peer.answer(OK)
            return
        peer.request_head()
        digests.append(peer.body_digest(len(BIG)))
        peer.send(OK)

    target = stage.target(stage.serve(script))
    outcomes = stage.submit(stage.loop(), target, post(target), post(target, BIG)).wait()
    assert [response(outcome).status for outcome in outcomes] == [200, 200]
    assert digests == [hashlib.sha256(BIG).hexdigest()]


def test_answer_before_body_was_read_counts(stage: Stage) -> None:
    def script(peer: Peer) -> None:
        peer.request_head()
        peer.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n" if peer.number == 0 else OK)
        peer.wait_closed()

    server = stage.serve(script)
    target = stage.target(server)
    outcomes = stage.submit(stage.loop(), target, post(target, BIG), post(target)).wait()
    assert [response(outcome).status for outcome in outcomes] == [413, 200]
    assert server.accepted == 2


def test_answer_and_reset_before_body_was_read(plain_stage: Stage) -> None:
    def script(peer: Peer) -> None:
        peer.request_head()
        peer.send(b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")

    target = plain_stage.target(plain_stage.serve(script))
    assert response(plain_stage.submit(plain_stage.loop(), target, post(target, BIG)).wait()[0]).status == 413


def test_reader_that_never_reads_times_out(stage: Stage) -> None:
    def script(peer: Peer) -> None:
        while not peer.pause(0.05):
            pass

    target = stage.target(stage.serve(script))
    failure = stage.submit(stage.loop(), target, post(target, BIG), deadline_s=0.2).wait()[0]
    assert code(failure) is FailureCode.TIMEOUT
    assert isinstance(failure, Failure)
    assert failure.sent


def test_next_sequence_takes_the_idle_connection(stage: Stage) -> None:
    server = stage.serve(answering(*[OK] * 3))
    loop = stage.loop()
    for _ in range(3):
        assert response(stage.submit(loop, stage.target(server)).wait()[0]).status == 200
    assert server.accepted == 1


def test_latest_idle_connection_is_taken_first(stage: Stage) -> None:
    together = threading.Barrier(2)
    used: list[int] = []

    def script(peer: Peer) -> None:
        peer.request()
        together.wait(5)
        peer.send(OK)
        while peer.request():
            used.append(peer.number)
            peer.send(OK)

    loop = stage.loop()
    target = stage.target(stage.serve(script))
    for sequence in [stage.submit(loop, target) for _ in range(2)]:
        sequence.wait()
    assert comes_true(loop, lambda: loop.open_exchanges == 0)
    for _ in range(4):
        stage.submit(loop, target).wait()
        assert comes_true(loop, lambda: loop.open_exchanges == 0)
    assert len(set(used)) == 1


def test_idle_connection_is_closed_in_time(stage: Stage) -> None:
    loop = stage.loop(replace(QUICK, idle_timeout_s=0.05))
    stage.submit(loop, stage.target(stage.serve(answering(OK, OK)))).wait()
    assert comes_true(loop, lambda: loop.connections == 0)


def test_idle_connection_closed_by_server_is_forgotten(stage: Stage) -> None:
    loop = stage.loop()
    stage.submit(loop, stage.target(stage.serve(answering(OK)))).wait()
    assert comes_true(loop, lambda: loop.connections == 0)


def test_idle_connection_that_talks_is_closed(stage: Stage) -> None:
    def script(peer: Peer) -> None:
        peer.answer(OK)
        peer.pause(0.05)
        peer.send(OK)
        peer.wait_closed()

    loop = stage.loop()
    stage.submit(loop, stage.target(stage.serve(script))).wait()
    assert comes_true(loop, lambda: loop.connections == 0)


def test_idle_connections_are_bounded_per_origin(stage: Stage) -> None:
    together = threading.Barrier(3)

    def script(peer: Peer) -> None:
        peer.request()
        together.wait(5)
        peer.send(OK)
        peer.wait_closed()

    loop = stage.loop(replace(QUICK, idle_per_origin=1))
    target = stage.target(stage.serve(script))
    for sequence in [stage.submit(loop, target) for _ in range(3)]:
        sequence.wait()
    assert comes_true(loop, lambda: loop.connections == 1)


def test_idle_connections_are_bounded_in_total(stage: Stage) -> None:
    loop = stage.loop(replace(QUICK, idle_total=2))
    servers = [stage.serve(answering(OK, OK)) for _ in range(3)]
    for server in servers:
        stage.submit(loop, stage.target(server)).wait()
    assert comes_true(loop, lambda: loop.connections == 2)
    stage.submit(loop, stage.target(servers[0])).wait()
    assert servers[0].accepted == 2, "the longest idle connection is the one that made room"
