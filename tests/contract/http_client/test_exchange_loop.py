"""The loop's thread: many request sequences, timers, errors of callers, and stopping."""

import threading
from dataclasses import replace

from tests.harness.hostile_server import OK, Peer, answering
from tests.harness.http_testbed import QUICK, HttpTestbed, RecordingSequence, code, holds_on_loop, post, response
from webhookd import clock
from webhookd.edges.http_client.event_loop import ExchangeLoop
from webhookd.flow.attempt.exchange_result import FailureCode, Outcome
from webhookd.flow.attempt.target import Target
from webhookd.settings import Settings

PATIENCE_S = 5.0


class Raising(RecordingSequence):
    """A request sequence that raises at its first outcome."""

    def advance(self, outcome: Outcome | None) -> bytes | None:
        if outcome is not None:
            self.outcomes.append(outcome)
            raise LookupError("an error in the sequence")
        return super().advance(outcome)


class Endless(RecordingSequence):
    """A request sequence that never ends."""

    def advance(self, outcome: Outcome | None) -> bytes | None:
        if outcome is not None:
            self.outcomes.append(outcome)
        return post(self.target)


def test_slow_endpoint_delays_no_other(testbed: HttpTestbed) -> None:
    def slow(peer: Peer) -> None:
        peer.request()
        peer.wait_closed()

    loop = testbed.loop()
    stuck = [testbed.submit(loop, testbed.target(testbed.serve(slow)), deadline_s=30.0) for _ in range(3)]
    quick = testbed.target(testbed.serve(answering(*[OK] * 100)))
    assert len(testbed.submit(loop, quick, *[post(quick)] * 100).wait()) == 100
    assert loop.open_exchanges == 3
    assert [sequence.outcomes for sequence in stuck] == [[], [], []]


def test_huge_responder_starves_no_other(testbed: HttpTestbed) -> None:
    def huge(peer: Peer) -> None:
        while peer.request():
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000)

    loop = testbed.loop()
    greedy = Endless(testbed.target(testbed.serve(huge)), [], 5.0)
    loop.submit(greedy)
    quick = testbed.target(testbed.serve(answering(*[OK] * 100)))
    outcomes = testbed.submit(loop, quick, *[post(quick)] * 100).wait()
    assert [response(outcome).status for outcome in outcomes] == [200] * 100


def test_idle_loop_wakes_for_a_new_sequence(testbed: HttpTestbed) -> None:
    loop = testbed.loop(replace(QUICK, sweep_interval_s=60.0))
    target = testbed.target(testbed.serve(answering(*[OK] * 10)))
    for _ in range(10):
        assert response(testbed.submit(loop, target).wait()[0]).status == 200


def test_sequences_from_many_threads_all_finish(testbed: HttpTestbed) -> None:
    target = testbed.target(testbed.serve(answering(*[OK] * 1000)))
    loop = testbed.loop()
    sequences = [RecordingSequence(target, [post(target)] * 5, PATIENCE_S) for _ in range(24)]
    threads = [threading.Thread(target=loop.submit, args=(sequence,)) for sequence in sequences]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(sequence.wait()) for sequence in sequences] == [5] * 24
    assert holds_on_loop(loop, lambda: loop.open_exchanges == 0)


def test_sequence_that_raises_is_dropped_alone(plain_testbed: HttpTestbed) -> None:
    target = plain_testbed.target(plain_testbed.serve(answering(*[OK] * 10)))
    loop = plain_testbed.loop()
    broken = Raising(target, [post(target)], PATIENCE_S)
    loop.submit(broken)
    assert response(plain_testbed.submit(loop, target).wait()[0]).status == 200
    assert holds_on_loop(loop, lambda: loop.open_exchanges == 0)
    assert len(broken.outcomes) == 1


def test_sequence_that_returns_a_wrong_type_gets_internal_error(plain_testbed: HttpTestbed) -> None:
    class Nonsense(RecordingSequence):
        def advance(self, outcome: Outcome | None) -> bytes | None:
            request = super().advance(outcome)
            return request and request.decode()  # type: ignore[return-value]  # the mistake under test

    target = plain_testbed.target(plain_testbed.serve(answering(*[OK] * 10)))
    loop = plain_testbed.loop()
    sequence = Nonsense(target, [post(target)], PATIENCE_S)
    loop.submit(sequence)
    assert code(sequence.wait()[0]) is FailureCode.INTERNAL_ERROR
    assert response(plain_testbed.submit(loop, target).wait()[0]).status == 200


def test_timers_fire_although_one_raises(plain_testbed: HttpTestbed) -> None:
    loop = plain_testbed.loop()
    fired = threading.Semaphore(0)
    names: set[str] = set()

    def callback() -> None:
        names.add(threading.current_thread().name)
        fired.release()

    loop.every(0.005, _failing_callback)
    loop.every(0.005, callback)
    assert all(fired.acquire(timeout=PATIENCE_S) for _ in range(5))
    assert names == {"exchange-loop"}


def _failing_callback() -> None:
    raise LookupError("an error in the callback")


class Waiting(RecordingSequence):
    """A request sequence that ends at its first call, and is submitted again for later; it sends its requests then."""

    loop: ExchangeLoop
    delay_s = 0.0
    waited = False

    def advance(self, outcome: Outcome | None) -> bytes | None:
        if outcome is None and not self.waited:
            self.waited = True
            self.loop.submit_later(self, self.delay_s)
            return None
        return super().advance(outcome)


def waiting(loop: ExchangeLoop, target: Target, delay_s: float) -> Waiting:
    sequence = Waiting(target, [post(target)], PATIENCE_S)
    sequence.loop, sequence.delay_s = loop, delay_s
    loop.submit(sequence)
    return sequence


def test_delayed_sequences_continue_in_the_order_of_their_times(plain_testbed: HttpTestbed) -> None:
    server, loop = plain_testbed.serve(answering(OK)), plain_testbed.loop()
    target, began = plain_testbed.target(server), clock.monotonic()
    first, second = waiting(loop, target, 0.08), waiting(loop, target, 0.02)
    assert [response(second.wait()[0]).status, clock.monotonic() - began >= 0.02] == [200, True]
    assert [response(first.wait()[0]).status, clock.monotonic() - began >= 0.08] == [200, True]


def test_stop_continues_delayed_sequences_at_once(plain_testbed: HttpTestbed) -> None:
    server, loop = plain_testbed.serve(answering(OK)), plain_testbed.loop()
    sequence = waiting(loop, plain_testbed.target(server), 3600.0)
    assert holds_on_loop(loop, lambda: sequence.waited)
    loop.stop(PATIENCE_S)
    assert [code(outcome) for outcome in sequence.wait()] == [FailureCode.SHUTDOWN]


def test_stop_lets_open_exchange_end_within_budget(testbed: HttpTestbed) -> None:
    requested, release = threading.Event(), threading.Event()
    after: list[bytes] = []

    def script(peer: Peer) -> None:
        peer.request()
        requested.set()
        release.wait(PATIENCE_S)
        peer.send(OK)
        after.append(peer.request())

    loop = testbed.loop()
    target = testbed.target(testbed.serve(script))
    sequence = testbed.submit(loop, target, *[post(target)] * 2)
    assert requested.wait(PATIENCE_S)
    loop.every(0.005, lambda: release.set() if loop._exchanges.closing else None)
    loop.stop(PATIENCE_S)
    assert response(sequence.outcomes[0]).status == 200
    assert code(sequence.outcomes[1]) is FailureCode.SHUTDOWN
    assert (loop.open_exchanges, loop.connections) == (0, 0)
    assert after in ([], [b""]), "nothing new is sent"


def test_stop_ends_what_outlasts_the_budget(testbed: HttpTestbed) -> None:
    requested = threading.Event()

    def script(peer: Peer) -> None:
        peer.request()
        requested.set()
        peer.wait_closed()

    loop = testbed.loop()
    sequence = Endless(testbed.target(testbed.serve(script)), [], 60.0)
    loop.submit(sequence)
    assert requested.wait(PATIENCE_S)
    loop.stop(0.05)
    assert [code(outcome) for outcome in sequence.outcomes] == [FailureCode.SHUTDOWN]
    assert (loop.open_exchanges, loop.connections) == (0, 0)


def test_abort_all_ends_open_exchanges_and_the_loop_continues(testbed: HttpTestbed) -> None:
    requested = threading.Event()

    def script(peer: Peer) -> None:
        peer.request()
        requested.set()
        peer.wait_closed()

    loop = testbed.loop()
    sequence = Endless(testbed.target(testbed.serve(script)), [], 60.0)
    loop.submit(sequence)
    assert requested.wait(PATIENCE_S)
    loop.abort_all()
    assert holds_on_loop(loop, lambda: loop.open_exchanges == 0)
    assert [code(outcome) for outcome in sequence.outcomes] == [FailureCode.SHUTDOWN]
    assert response(testbed.submit(loop, testbed.target(testbed.serve(answering(OK)))).wait()[0]).status == 200


def test_sequence_after_stop_gets_shutdown(plain_testbed: HttpTestbed) -> None:
    loop = plain_testbed.loop()
    loop.stop(0.0)
    loop.stop(0.0)
    target = Target.parse("http://127.0.0.1:9/")
    sequence = plain_testbed.submit(loop, target)
    assert code(sequence.outcomes[0]) is FailureCode.SHUTDOWN


def test_loop_that_never_started_can_stop() -> None:
    loop = ExchangeLoop(Settings.model_validate({}))
    sequence = RecordingSequence(Target.parse("http://127.0.0.1:9/"), [b"x"], PATIENCE_S)
    loop.submit(sequence)
    loop.stop(1.0)
    assert code(sequence.wait()[0]) is FailureCode.SHUTDOWN
