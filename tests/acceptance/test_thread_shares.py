"""One subscription may use all threads but a reserved one, which serves the other subscriptions meanwhile.

Oracles: the open requests at the receivers, and what they got. Real Kafka, Redis, Postgres and processes.
"""

import threading
import time

from tests.acceptance.conftest import Starts
from tests.harness.receiver import OK, Receiver, Request
from webhookd.testing.http_endpoint import Answer

THREADS = 16
ALL_BUT_ONE = 15
LANES, EACH = 32, 100
SLOWLY_S = 0.17
"""Slow enough that each lane gets a task and a thread of its own, but far below a slow request (0.5 s)."""

TRY_S, PATIENCE_S = 10.0, 180.0


class Gate:
    """Answers requests slowly, or blocks all of them until it is opened."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._held = 0
        self._open = True

    @property
    def held(self) -> int:
        """How many requests are blocked."""
        return self._held

    def answer(self, _request: Request) -> Answer:
        """Respond 200 when the request may pass."""
        if self._open:
            time.sleep(SLOWLY_S)
            return OK
        with self._changed:
            self._held += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._open)
            self._held -= 1
        return OK

    def close(self, count: int) -> bool:
        """Block requests from now on; returns whether `count` are blocked soon. If not it opens again."""
        self._open = False
        with self._changed:
            if self._changed.wait_for(lambda: self._held >= count, TRY_S):
                return True
        self.open()
        return False

    def open(self) -> None:
        """Let all requests pass."""
        with self._changed:
            self._open = True
            self._changed.notify_all()


def test_lone_subscription_gets_the_threads_and_others_are_served(start_pipeline: Starts) -> None:
    settings = {"WEBHOOKD_WORKER_THREADS": str(THREADS), "WEBHOOKD_REQUEST_DEADLINE_S": str(PATIENCE_S)}
    gate = Gate()
    with start_pipeline(**settings) as pipeline, Receiver(gate.answer) as busy, Receiver() as other:
        busy_topic, other_topic = pipeline.topic(LANES), pipeline.topic()
        pipeline.subscribe(busy.url, busy_topic)
        pipeline.subscribe(other.url, other_topic)
        pipeline.produce(busy_topic, [b"{}"] * (LANES * EACH), partitions=LANES)
        # By then each lane has a task of its own. On a slow machine the endpoint may look slow for a moment.
        busy.wait(lambda: len(busy.lanes) == LANES and min(len(lane.seen) for lane in busy.lanes.values()) > 4)
        deadline = time.monotonic() + PATIENCE_S
        while not gate.close(ALL_BUT_ONE):
            assert time.monotonic() < deadline, "threads stay idle while work waits"
            assert busy.records < LANES * EACH, "there was not enough work"
        try:
            pipeline.produce(other_topic, [b"{}"] * 40)
            other.wait_for_records(40)
            assert gate.held == ALL_BUT_ONE
        finally:
            gate.open()
        busy.wait(lambda: gate.held == 0)
        assert (busy.repeats, busy.out_of_order, other.out_of_order) == (0, 0, 0)
