"""When a worker counts as stuck. The clock is the test's."""

import pytest

from webhookd.flow.monitoring.stuck_worker import LONGEST_GAP_S, StuckWorkerDetector

AFTER_S = 30.0


class Watched:
    """A worker that is checked once a second."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.stuck_worker = StuckWorkerDetector(AFTER_S)
        self.taken = 7
        self.check()

    def check(self, *, waiting: int = 3, free: int = 2, after_s: float = 1.0) -> bool:
        """The result of the next check."""
        self.now += after_s
        return self.stuck_worker.check(self.now, waiting=waiting, free=free, taken=self.taken)

    def checks(self, seconds: float) -> bool:
        """The result of the last of many checks, at which tasks waited and threads were free."""
        return [self.check() for _ in range(int(seconds))][-1]


@pytest.fixture
def watched() -> Watched:
    """A worker with free threads and a queue that is never empty."""
    return Watched()


def test_worker_that_takes_nothing_is_stuck_in_time(watched: Watched) -> None:
    assert watched.checks(AFTER_S - 1) is False
    assert watched.check() is True


def test_one_task_taken_starts_the_time_again(watched: Watched) -> None:
    watched.checks(AFTER_S - 1)
    watched.taken += 1
    assert watched.checks(AFTER_S) is False
    assert watched.check() is True


@pytest.mark.parametrize(("waiting", "free"), [(0, 2), (3, 0)])
def test_empty_queue_or_no_free_thread_starts_the_time_again(watched: Watched, waiting: int, free: int) -> None:
    watched.checks(AFTER_S - 1)
    assert watched.check(waiting=waiting, free=free) is False
    assert watched.checks(AFTER_S - 1) is False
    assert watched.check() is True


def test_worker_without_work_is_never_stuck(watched: Watched) -> None:
    assert not any(watched.check(waiting=0) for _ in range(1000))


def test_worker_without_free_threads_is_never_stuck(watched: Watched) -> None:
    assert not any(watched.check(free=0) for _ in range(1000))


def test_unreachable_redis_starts_the_time_again(watched: Watched) -> None:
    watched.checks(AFTER_S - 1)
    watched.stuck_worker.reset()
    assert watched.checks(AFTER_S) is False
    assert watched.check() is True


def test_stopped_process_starts_the_time_again(watched: Watched) -> None:
    watched.checks(AFTER_S - 1)
    assert watched.check(after_s=1000.0) is False
    assert watched.checks(AFTER_S - 1) is False
    assert watched.check() is True


def test_slow_checks_count_too(watched: Watched) -> None:
    answers = [watched.check(after_s=LONGEST_GAP_S) for _ in range(int(AFTER_S / LONGEST_GAP_S))]
    assert answers == [False] * (len(answers) - 1) + [True]
