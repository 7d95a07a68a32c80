"""What a worker says of itself, and when it takes itself for deaf.

The board is the embedded default's, with queues that the test fills; the clock is moved by hand.
"""

from threading import Event

import pytest

from tests.harness.delivery_senders import PATIENCE_S
from webhookd.edges.memory_coordination import MemoryCoordination
from webhookd.errors import QueueUnavailable
from webhookd.flow.dispatch.queue_names import FIRST, RETRY
from webhookd.flow.dispatch.worker_heartbeat import WorkerHeartbeat
from workers.delivery.heartbeat import Heartbeat, WorkerInfo
from workers.delivery.worker_load import WorkerLoad

STUCK_AFTER_S = 3.0
POST = WorkerInfo(worker_id="host.1.a", queues=(FIRST, RETRY), slots=2, tasks_held=5, started_at=1_700_000_000.5)


class QueueBoard(MemoryCoordination):
    """A board whose queues are as deep as the test says, and that can be away."""

    def __init__(self) -> None:
        super().__init__()
        self.depth = {FIRST: 0, RETRY: 0}
        self.away = False
        self.calls: list[str] = []

    def announce(self, worker: WorkerHeartbeat) -> None:
        """As MemoryCoordination, unless it is away."""
        self._answer("announce")
        super().announce(worker)

    def withdraw(self, worker_id: str) -> None:
        """As MemoryCoordination, unless it is away."""
        self._answer("withdraw")
        super().withdraw(worker_id)

    def queues(self) -> dict[str, int]:
        """How many tasks wait in each queue."""
        return self.depth

    def _answer(self, call: str) -> None:
        self.calls.append(call)
        if self.away:
            raise QueueUnavailable


class Worker:
    """A worker with two slots, looked at once a second."""

    def __init__(self) -> None:
        self.now = 100.0
        self.countdowns = 0
        self.coordination = QueueBoard()
        self.load = WorkerLoad(lambda: self.now)
        self.found_stuck = Event()
        self.watch = Heartbeat(
            self.coordination,
            POST,
            self.load,
            monotonic=lambda: self.now,
            stuck_after_s=STUCK_AFTER_S,
            waiting_for_countdown=lambda: self.countdowns,
            stuck=self.found_stuck.set,
        )

    def looks(self, count: int = 10) -> bool:
        """Whether one of so many looks finds it deaf."""
        answers = []
        for _ in range(count):
            self.now += 1.0
            answers.append(self.watch.look())
        return any(answers)

    def announced(self) -> WorkerHeartbeat:
        """What the board knows of it."""
        (found,) = self.coordination.workers()
        return found


@pytest.fixture
def worker() -> Worker:
    """Nothing to do yet."""
    return Worker()


def test_worker_says_where_it_works_and_how_busy_it_is(worker: Worker) -> None:
    worker.load.began()
    worker.now += 2.0
    worker.load.began()
    worker.now += 1.0
    worker.load.ended()
    worker.looks(1)
    said = worker.announced()
    assert (said.id, said.queues, said.threads, said.started_at) == ("host.1.a", (FIRST, RETRY), 2, 1_700_000_000.5)
    assert (said.busy, said.since_began_s, said.since_ended_s) == (1, 2.0, 1.0)


def test_worker_before_its_first_task_has_no_ages(worker: Worker) -> None:
    worker.looks(1)
    assert (worker.announced().since_began_s, worker.announced().since_ended_s) == (None, None)


@pytest.mark.parametrize("queue", [FIRST, RETRY])
def test_either_queue_can_be_the_stuck_one(worker: Worker, queue: str) -> None:
    worker.coordination.depth[queue] = 1
    assert worker.looks() is True


def test_tasks_of_another_queue_do_not_hide_it(worker: Worker) -> None:
    worker.coordination.depth[RETRY] = 1
    answers = []
    for _ in range(5):
        worker.load.took(FIRST)
        answers.append(worker.looks(1))
    assert any(answers)


def test_worker_that_takes_tasks_is_not_stuck(worker: Worker) -> None:
    worker.coordination.depth[FIRST] = 1000
    answers = []
    for _ in range(10):
        worker.load.took(FIRST)
        answers.append(worker.looks(1))
    assert not any(answers)


def test_worker_with_every_slot_taken_is_not_stuck(worker: Worker) -> None:
    worker.coordination.depth[FIRST] = 1
    worker.load.began()
    worker.load.began()
    assert worker.looks() is False
    worker.load.ended()
    assert worker.looks() is True


@pytest.mark.parametrize(("countdowns", "stuck"), [(5, False), (4, True)])
def test_worker_full_of_countdowns_is_not_stuck(worker: Worker, countdowns: int, stuck: bool) -> None:
    worker.coordination.depth[RETRY] = 1
    worker.countdowns = countdowns
    assert worker.looks() is stuck


def test_redis_that_is_away_makes_nobody_stuck(worker: Worker) -> None:
    worker.coordination.depth[FIRST] = 1
    worker.looks(2)
    worker.coordination.away = True
    assert worker.looks() is False
    worker.coordination.away = False
    assert worker.looks(3) is False
    assert worker.looks(1) is True


@pytest.mark.parametrize("away", [False, True])
def test_worker_is_announced_at_once_and_withdrawn_at_the_end(worker: Worker, away: bool) -> None:
    worker.coordination.away = away
    worker.watch.start()
    worker.watch.stop()
    worker.watch.join(PATIENCE_S)
    assert worker.coordination.calls == ["announce", "withdraw"]
    assert worker.coordination.workers() == []


def test_stuck_worker_is_told_once(worker: Worker) -> None:
    worker.coordination.depth[FIRST] = 1
    worker.looks(3)
    worker.now += 1.0
    worker.watch.start()
    assert worker.found_stuck.wait(PATIENCE_S)
    worker.watch.join(PATIENCE_S)
    assert worker.coordination.calls == ["announce"] * 4
