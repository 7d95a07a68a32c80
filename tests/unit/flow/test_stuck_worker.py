"""When a worker counts as deaf; time is what the test says it is."""

import pytest

from webhookd.flow.monitoring.stuck_worker import LONGEST_GAP_S, StuckWorkerDetector

AFTER_S = 30.0


class Watched:
    """A worker that is looked at once a second."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.stuck_worker = StuckWorkerDetector(AFTER_S)
        self.taken = 7
        self.check()

    def check(self, *, waiting: int = 3, free: int = 2, after_s: float = 1.0) -> bool:
        """The answer of the next look."""
        self.now += after_s
        return self.stuck_worker.check(self.now, waiting=waiting, free=free, taken=self.taken)

    def looks(self, seconds: float) -> bool:
        """The answer of the last of many looks, at which tasks waited and there was room."""
        return [self.check() for _ in range(int(seconds))][-1]


@pytest.fixture
def watched() -> Watched:
    """A worker with room beside a queue that is never empty."""
    return Watched()


def test_worker_that_takes_nothing_is_stuck_in_time(watched: Watched) -> None:
    assert watched.looks(AFTER_S - 1) is False
    assert watched.check() is True


def test_one_task_taken_starts_over(watched: Watched) -> None:
    watched.looks(AFTER_S - 1)
    watched.taken += 1
    assert watched.looks(AFTER_S) is False
    assert watched.check() is True


@pytest.mark.parametrize(("waiting", "free"), [(0, 2), (3, 0)])
def test_empty_queue_or_no_room_starts_over(watched: Watched, waiting: int, free: int) -> None:
    watched.looks(AFTER_S - 1)
    assert watched.check(waiting=waiting, free=free) is False
    assert watched.looks(AFTER_S - 1) is False
    assert watched.check() is True


def test_worker_without_work_is_never_stuck(watched: Watched) -> None:
    assert not any(watched.check(waiting=0) for _ in range(1000))


def test_worker_without_room_is_never_stuck(watched: Watched) -> None:
    assert not any(watched.check(free=0) for _ in range(1000))


def test_redis_that_was_away_starts_over(watched: Watched) -> None:
    watched.looks(AFTER_S - 1)
    watched.stuck_worker.reset()
    assert watched.looks(AFTER_S) is False
    assert watched.check() is True


def test_process_that_was_stopped_starts_over(watched: Watched) -> None:
    watched.looks(AFTER_S - 1)
    assert watched.check(after_s=1000.0) is False
    assert watched.looks(AFTER_S - 1) is False
    assert watched.check() is True


def test_slow_looks_count_all_the_same(watched: Watched) -> None:
    answers = [watched.check(after_s=LONGEST_GAP_S) for _ in range(int(AFTER_S / LONGEST_GAP_S))]
    assert answers == [False] * (len(answers) - 1) + [True]
