"""The worker's heartbeat, and when a worker counts as stuck.

The coordination store is the one in memory, with queues that the test fills; the test moves the clock.
"""

from threading import Event

import pytest

from tests.harness.delivery_senders import PATIENCE_S
from webhookd.edges.memory_coordination import MemoryCoordination
from webhookd.errors import QueueUnavailable
from webhookd.flow.dispatch.queue_names import FIRST, RETRY
from webhookd.flow.dispatch.worker_heartbeat import WorkerHeartbeat
from workers.delivery.heartbeat import Heartbeat, WorkerErrors, WorkerInfo
from workers.delivery.worker_load import WorkerLoad

STUCK_AFTER_S = 3.0
INFO = WorkerInfo(worker_id="host.1.a", queues=(FIRST, RETRY), threads=2, tasks_held=5, started_at=1_700_000_000.5)


class QueueCoordination(MemoryCoordination):
    """A coordination store with queue lengths that the test sets, and that can be unavailable."""

    def __init__(self) -> None:
        super().__init__()
        self.lengths = {FIRST: 0, RETRY: 0}
        self.unavailable = False
        self.calls: list[str] = []

    def write_heartbeat(self, worker: WorkerHeartbeat) -> None:
        """As MemoryCoordination; raises while unavailable."""
        self._answer("write_heartbeat")
        super().write_heartbeat(worker)

    def remove_heartbeat(self, worker_id: str) -> None:
        """As MemoryCoordination; raises while unavailable."""
        self._answer("remove_heartbeat")
        super().remove_heartbeat(worker_id)

    def queue_lengths(self) -> dict[str, int]:
        """How many tasks wait in each queue."""
        return self.lengths

    def _answer(self, call: str) -> None:
        self.calls.append(call)
        if self.unavailable:
            raise QueueUnavailable


class Worker:
    """A worker with two threads, checked once a second."""

    def __init__(self) -> None:
        self.now = 100.0
        self.countdowns = 0
        self.store_error = ""
        self.coordination = QueueCoordination()
        self.load = WorkerLoad(lambda: self.now)
        self.found_stuck = Event()
        self.heartbeat = Heartbeat(
            self.coordination,
            INFO,
            self.load,
            monotonic=lambda: self.now,
            stuck_after_s=STUCK_AFTER_S,
            waiting_for_countdown=lambda: self.countdowns,
            errors=lambda: WorkerErrors(store=self.store_error),
            stuck=self.found_stuck.set,
        )

    def checks(self, count: int = 10) -> bool:
        """Whether one of so many checks finds it stuck."""
        answers = []
        for _ in range(count):
            self.now += 1.0
            answers.append(self.heartbeat.write_and_check())
        return any(answers)

    def heartbeat_read(self) -> WorkerHeartbeat:
        """The heartbeat, as the coordination store returns it."""
        (found,) = self.coordination.live_workers()
        return found


@pytest.fixture
def worker() -> Worker:
    """A worker without tasks."""
    return Worker()


def test_heartbeat_shows_queues_threads_and_load(worker: Worker) -> None:
    worker.load.task_started()
    worker.now += 2.0
    worker.load.task_started()
    worker.now += 1.0
    worker.load.task_ended()
    worker.checks(1)
    read = worker.heartbeat_read()
    assert (read.id, read.queues, read.threads, read.started_at) == ("host.1.a", (FIRST, RETRY), 2, 1_700_000_000.5)
    assert (read.busy, read.since_began_s, read.since_ended_s) == (1, 2.0, 1.0)


def test_worker_before_its_first_task_has_no_ages(worker: Worker) -> None:
    worker.checks(1)
    assert (worker.heartbeat_read().since_began_s, worker.heartbeat_read().since_ended_s) == (None, None)


@pytest.mark.parametrize("queue", [FIRST, RETRY])
def test_either_queue_can_be_the_stuck_one(worker: Worker, queue: str) -> None:
    worker.coordination.lengths[queue] = 1
    assert worker.checks() is True


def test_tasks_of_another_queue_do_not_hide_it(worker: Worker) -> None:
    worker.coordination.lengths[RETRY] = 1
    answers = []
    for _ in range(5):
        worker.load.task_taken(FIRST)
        answers.append(worker.checks(1))
    assert any(answers)


def test_worker_that_takes_tasks_is_not_stuck(worker: Worker) -> None:
    worker.coordination.lengths[FIRST] = 1000
    answers = []
    for _ in range(10):
        worker.load.task_taken(FIRST)
        answers.append(worker.checks(1))
    assert not any(answers)


def test_worker_with_every_thread_busy_is_not_stuck(worker: Worker) -> None:
    worker.coordination.lengths[FIRST] = 1
    worker.load.task_started()
    worker.load.task_started()
    assert worker.checks() is False
    worker.load.task_ended()
    assert worker.checks() is True


@pytest.mark.parametrize(("countdowns", "stuck"), [(5, False), (4, True)])
def test_worker_full_of_countdowns_is_not_stuck(worker: Worker, countdowns: int, stuck: bool) -> None:
    worker.coordination.lengths[RETRY] = 1
    worker.countdowns = countdowns
    assert worker.checks() is stuck


def test_worker_is_not_stuck_while_redis_is_down(worker: Worker) -> None:
    worker.coordination.lengths[FIRST] = 1
    worker.checks(2)
    worker.coordination.unavailable = True
    assert worker.checks() is False
    worker.coordination.unavailable = False
    assert worker.checks(3) is False
    assert worker.checks(1) is True


@pytest.mark.parametrize("unavailable", [False, True])
def test_heartbeat_is_written_at_once_and_removed_at_the_end(worker: Worker, unavailable: bool) -> None:
    worker.coordination.unavailable = unavailable
    worker.heartbeat.start()
    worker.heartbeat.stop()
    worker.heartbeat.join(PATIENCE_S)
    assert worker.coordination.calls == ["write_heartbeat", "remove_heartbeat"]
    assert worker.coordination.live_workers() == []


def test_stuck_worker_is_reported_once(worker: Worker) -> None:
    worker.coordination.lengths[FIRST] = 1
    worker.checks(3)
    worker.now += 1.0
    worker.heartbeat.start()
    assert worker.found_stuck.wait(PATIENCE_S)
    worker.heartbeat.join(PATIENCE_S)
    assert worker.coordination.calls == ["write_heartbeat"] * 4


def test_heartbeat_says_that_the_database_cannot_be_read() -> None:
    worker = Worker()
    worker.store_error = "connection refused"
    worker.heartbeat.write_and_check()
    assert [known.store_error for known in worker.coordination.live_workers()] == ["connection refused"]
