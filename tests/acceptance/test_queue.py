"""The queues in Redis: duplicate tasks, and the backlog of slow workers. Oracles as in test_delivery.py."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from redis import Redis

from tests.acceptance.conftest import Starts
from tests.harness.pipeline import PATIENCE_S, Pipeline, until
from tests.harness.receiver import Receiver, slowly

LANES = 40
FEW_THREADS = {"WEBHOOKD_WORKER_THREADS": "2"}
SOON_AGAIN = {"WEBHOOKD_CLAIM_TIMEOUT_S": "0.5"}
"""A delivery that is not claimed is published again after this time, in a task of its own."""

LOOK_S = 0.005


def numbers(count: int) -> list[bytes]:
    return [json.dumps({"n": n}).encode() for n in range(count)]


@pytest.fixture(scope="module")
def slow_service(start_pipeline: Starts) -> Iterator[Pipeline]:
    """A service with few threads that publishes a delivery again soon."""
    with start_pipeline(**FEW_THREADS, **SOON_AGAIN) as running:
        yield running


class Queues:
    """The lists in Redis in which kombu keeps its queues."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.redis: Any = Redis.from_url(pipeline.redis)
        self.prefix = pipeline.redis_prefix
        self.names = [f"{self.prefix}webhookd.{name}" for name in ("first", "retry")]

    def waiting(self) -> int:
        """How many tasks wait."""
        return sum(self.redis.llen(name) for name in self.names)

    def tasks(self) -> list[tuple[str, bytes]]:
        """The tasks that wait, each with its queue."""
        return [(name, task) for name in self.names for task in self.redis.lrange(name, 0, -1)]

    def bytes_held(self) -> int:
        """The memory of all webhookd keys in Redis."""
        return sum(self.redis.memory_usage(key) or 0 for key in self.redis.scan_iter(f"{self.prefix}*"))


@contextmanager
def doubling(queues: Queues) -> Iterator[list[bytes]]:
    """Add a copy of each waiting task to its queue; yields the copies."""
    copies: list[bytes] = []
    seen: set[str] = set()
    stop = threading.Event()

    def double() -> None:
        while not stop.wait(LOOK_S):
            for name, task in queues.tasks():
                id_ = json.loads(task)["headers"]["id"]
                if id_ not in seen:
                    seen.add(id_)
                    queues.redis.lpush(name, task)
                    copies.append(task)

    thread = threading.Thread(target=double, daemon=True)
    thread.start()
    try:
        yield copies
    finally:
        stop.set()
        thread.join(PATIENCE_S)


def test_of_two_copies_of_a_task_one_sends(slow_service: Pipeline) -> None:
    pipeline = slow_service
    with Receiver(slowly(0.02)) as receiver:
        topic = pipeline.topic(LANES)
        id_ = pipeline.subscribe(receiver.url, topic)
        pipeline.terminate("worker")
        with doubling(Queues(pipeline)) as copies:
            # No worker runs. Each round waits for one more task: that of its new lane, or one that is published again.
            for lanes in range(1, LANES // 4 + 1):
                pipeline.produce(topic, numbers(lanes), partitions=lanes)
                until(partial(at_least, lanes, copies), "another task is copied")
            pipeline.start("worker")
            pipeline.start("worker-2")
            pipeline.produce(topic, numbers(LANES * 10), partitions=LANES)
            receiver.wait_for_records(LANES * 10 + sum(range(LANES // 4 + 1)))
            pipeline.wait_committed(id_, topic)
        assert pipeline.terminate("worker-2") == 0
        assert len(copies) >= LANES // 4, "too few tasks were copied"
        assert (receiver.repeats, receiver.out_of_order) == (0, 0)


def at_least(count: int, copies: list[bytes]) -> bool:
    return len(copies) >= count


def test_workers_at_a_tenth_of_the_needed_throughput_leave_queue_and_memory_bounded(slow_service: Pipeline) -> None:
    pipeline = slow_service
    with Receiver(slowly(0.5)) as receiver:
        topic = pipeline.topic(LANES)
        pipeline.subscribe(receiver.url, topic)
        queues = Queues(pipeline)
        pipeline.produce(topic, numbers(LANES), partitions=LANES)
        receiver.wait_for_records(1)
        # The workers send four of forty records a second. The queue is bounded by the number of lanes at any time.
        deepest, most_bytes = 0, 0
        for _ in range(40):
            pipeline.produce(topic, numbers(10), partitions=LANES)
            deepest, most_bytes = max(deepest, queues.waiting()), max(most_bytes, queues.bytes_held())
            time.sleep(0.25)
        assert deepest <= 2 * LANES
        assert most_bytes < 2_000_000


def test_restarted_workers_get_each_delivery_once(start_pipeline: Starts) -> None:
    with start_pipeline() as pipeline, Receiver() as receiver:
        topic = pipeline.topic(LANES)
        id_ = pipeline.subscribe(receiver.url, topic)
        pipeline.produce(topic, numbers(LANES), partitions=LANES)
        receiver.wait_for_records(LANES)
        pipeline.terminate("worker")
        pipeline.produce(topic, numbers(LANES), partitions=LANES)
        until(lambda: Queues(pipeline).waiting() > 0, "tasks wait")
        pipeline.start("worker")
        receiver.wait_for_records(2 * LANES)
        pipeline.wait_committed(id_, topic)
        assert (receiver.repeats, receiver.out_of_order) == (0, 0)
