"""Many request sequences against a server that misbehaves at random (seeded): no response without a request."""

import random
import re
import threading

import pytest

from tests.harness.hostile_server import OK, Peer
from tests.harness.http_testbed import HttpTestbed, RecordingSequence, post
from webhookd.flow.attempt.exchange_result import Response
from webhookd.flow.attempt.target import Target

SEQUENCES, REQUESTS = 12, 25
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\nok"

# What the server sends, and whether it keeps the connection open.
BEHAVIOURS: tuple[tuple[bytes, bool], ...] = (
    (OK, True),
    (NO_CONTENT, True),
    (b"HTTP/1.1 100 Continue\r\n\r\n" + CHUNKED, True),
    (OK + b"junk", True),
    (UNTIL_CLOSE, False),
    (NO_CONTENT, False),
    (OK[:20], False),
    (b"nonsense", False),
    (b"", False),
)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_success_was_received_in_order(testbed: HttpTestbed, seed: int) -> None:
    received: list[tuple[int, int]] = []
    chance, lock = random.Random(seed), threading.Lock()  # noqa: S311  # a test, not a secret

    def script(peer: Peer) -> None:
        while request := peer.request():
            found = re.search(rb'"(\d+)/(\d+)"$', request)
            assert found
            with lock:
                received.append((int(found[1]), int(found[2])))
                answer, goes_on = chance.choice(BEHAVIOURS)
                send = peer.drip if chance.random() < 0.2 else peer.send
            send(answer)
            if not goes_on:
                if chance.random() < 0.2:
                    peer.reset()
                return

    target = testbed.target(testbed.serve(script))
    loop = testbed.loop()
    sequences = [RecordingSequence(target, _requests(target, number), 5.0) for number in range(SEQUENCES)]
    for sequence in sequences:
        loop.submit(sequence)
    for number, sequence in enumerate(sequences):
        outcomes = sequence.wait()
        assert len(outcomes) == REQUESTS
        answered = [at for at, outcome in enumerate(outcomes) if isinstance(outcome, Response)]
        # A failed request may arrive after its failure was reported: a sent request cannot be withdrawn. An answered
        # request has arrived before the next one was sent.
        seen = dict.fromkeys(request for lane, request in received if lane == number)
        assert [request for request in seen if request in answered] == answered


def _requests(target: Target, number: int) -> list[bytes]:
    return [post(target, b'"%d/%d"' % (number, request)) for request in range(REQUESTS)]
