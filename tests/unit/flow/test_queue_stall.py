"""When a queue counts as stalled. The clock is the test's."""

from webhookd.flow.dispatch.worker_heartbeat import WorkerHeartbeat
from webhookd.flow.monitoring.queue_stall import STALLED_S, QueueStallDetector, queues_without_workers

FIRST, RETRY = "first", "retry"


def worker(*queues: str, since_began_s: float | None) -> WorkerHeartbeat:
    return WorkerHeartbeat(
        id="w",
        queues=queues,
        threads=4,
        busy=0,
        since_began_s=since_began_s,
        since_ended_s=None,
        started_at=0.0,
    )


def test_queue_without_a_consumer_is_found() -> None:
    waiting = {FIRST: 0, RETRY: 7}
    assert queues_without_workers(waiting, []) == [FIRST, RETRY]
    assert queues_without_workers(waiting, [worker(FIRST, since_began_s=None)]) == [RETRY]


def test_tasks_that_wait_too_long_are_a_stall() -> None:
    stalls = QueueStallDetector()
    idle = [worker(FIRST, since_began_s=None)]
    assert stalls.check({FIRST: 3}, idle, 0.0) == {}
    assert stalls.check({FIRST: 3}, idle, STALLED_S - 1) == {}
    assert stalls.check({FIRST: 4}, idle, STALLED_S) == {FIRST: 4}


def test_empty_queue_starts_the_time_again() -> None:
    stalls = QueueStallDetector()
    idle = [worker(FIRST, since_began_s=None)]
    for now, tasks in ((0.0, 3), (STALLED_S / 2, 0), (STALLED_S, 3)):
        assert stalls.check({FIRST: tasks}, idle, now) == {}


def test_slow_consumer_is_no_stall() -> None:
    stalls = QueueStallDetector()
    busy = [worker(FIRST, since_began_s=15.0), worker(RETRY, since_began_s=None)]
    assert [stalls.check({FIRST: 900}, busy, now) for now in (0.0, STALLED_S, 10 * STALLED_S)] == [{}, {}, {}]


def test_consumer_whose_last_task_is_long_ago_is_a_stall() -> None:
    stalls = QueueStallDetector()
    stuck = [worker(FIRST, since_began_s=500.0)]
    stalls.check({FIRST: 1}, stuck, 0.0)
    assert stalls.check({FIRST: 1}, stuck, 60.0) == {FIRST: 1}


def test_queue_without_a_consumer_is_not_stalled() -> None:
    stalls = QueueStallDetector()
    stalls.check({FIRST: 3}, [], 0.0)
    assert stalls.check({FIRST: 3}, [], 100.0) == {}
