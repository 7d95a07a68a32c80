"""The receiver of the chaos scenarios judges the requests of several connections at the same time.

Oracle: a barrier that only two judges at once can pass. Real sockets.
"""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import requests

from tests.harness.checking_receiver import CheckingReceiver

PATIENCE_S = 30.0


def delivery(offset: int) -> dict[str, object]:
    record = {"topic": "t", "partition": 0, "offset": offset, "value": {"n": offset, "incarnation": 1}}
    return {"messages": [record]}


def test_two_requests_are_judged_at_once() -> None:
    both = threading.Barrier(2, timeout=PATIENCE_S)

    def judge(_length: int, _numbers: Sequence[int]) -> int:
        both.wait()
        return 200

    def post(offset: int) -> int:
        return requests.post(receiver.url, json=delivery(offset), timeout=PATIENCE_S).status_code

    with CheckingReceiver(judge) as receiver, ThreadPoolExecutor(2) as clients:
        assert list(clients.map(post, range(2))) == [200, 200]
    assert receiver.count == 2
