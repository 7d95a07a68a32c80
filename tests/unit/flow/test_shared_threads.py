"""Who gets the workers' threads, over time: all of them for one, a fair part within a second, a free one for newcomers.

Oracle: how many threads work for whom, and how long each delivery waited for a thread (tests/harness/shared_threads).
"""

import pytest

from tests.harness.shared_threads import FOREVER_S, Endpoint, Threads

SERVICE_S = 0.2
LITTLE_S = 0.001


def alone(threads: int, request_s: float, ingests: int = 1) -> Threads:
    """One subscription of many lanes that has had the threads for a while."""
    made = Threads(threads, ingests)
    made.add(Endpoint("hog", request_s, lanes=2 * threads + 32))
    made.fill("hog")
    made.run(4.0)
    return made


@pytest.mark.parametrize(("threads", "share"), [(1, 1), (4, 4), (16, 15), (64, 60)])
def test_lone_subscription_gets_all_threads_but_those_kept_back(threads: int, share: int) -> None:
    made = alone(threads, SERVICE_S)
    assert made.mean_held("hog", 0.5) == pytest.approx(share)


def test_lone_slow_subscription_gets_half() -> None:
    made = alone(16, 10.0)
    assert (made.held("hog"), made.waiting) == (8, 0)


def test_lone_subscription_gets_them_beside_idle_ingest_processes() -> None:
    assert alone(16, SERVICE_S, ingests=3).mean_held("hog", 1.0) == pytest.approx(15)


@pytest.mark.parametrize("others", [1, 2, 4])
def test_equal_parts_within_a_second(others: int) -> None:
    made = alone(16, SERVICE_S)
    names = [f"other-{number}" for number in range(others)]
    for name in names:
        made.add(Endpoint(name, SERVICE_S))
        made.fill(name)
    made.run(made.now + 1.0)
    parts = [made.mean_held(name, 0.4) for name in ["hog", *names]]
    assert min(parts) >= 15 // (others + 1)
    assert max(parts) <= 15 // (others + 1) + 1


def test_part_of_one_that_wants_no_more_goes_to_the_other() -> None:
    made = alone(16, SERVICE_S)
    made.add(Endpoint("narrow", SERVICE_S, lanes=3))
    made.fill("narrow")
    made.run(made.now + 1.0)
    assert made.mean_held("narrow", 0.5) == pytest.approx(3, abs=0.1)
    assert made.mean_held("hog", 0.5) == pytest.approx(12, abs=0.1)


def test_sparse_subscriptions_wait_no_longer_than_one_request_of_a_busy_one() -> None:
    made = alone(16, SERVICE_S)
    sparse = [made.add(Endpoint(f"sparse-{number}", 0.01, lanes=1)) for number in range(10)]
    for number, endpoint in enumerate(sparse):
        made.trickle(endpoint.name, 0.11 + number / 97)
    made.run(made.now + 10.0)
    assert all(len(endpoint.waits) > 40 for endpoint in sparse)
    assert max(wait for endpoint in sparse for wait in endpoint.waits) <= SERVICE_S + LITTLE_S
    assert made.mean_held("hog", 2.0) > 13


def test_newcomers_find_a_thread_although_slow_ones_take_all_they_may() -> None:
    made = alone(16, 30.0)
    made.add(Endpoint("slow", 30.0))
    made.fill("slow")
    newcomers = [made.add(Endpoint(f"new-{number}", 0.05, lanes=1, proven=False)) for number in range(3)]
    for endpoint in newcomers:
        made.fill(endpoint.name, each=1)
    made.run(made.now + 1.0)
    assert (made.held("hog"), made.held("slow")) == (8, 4)
    assert [endpoint.waits for endpoint in newcomers] == [[0.0]] * 3


def test_slow_ones_leave_a_quarter_to_the_others_however_many_they_are() -> None:
    made = Threads(16)
    slow = [made.add(Endpoint(f"slow-{number}", 8.0, lanes=4)) for number in range(30)]
    for endpoint in slow:
        made.fill(endpoint.name)
    quick = made.add(Endpoint("quick", 0.05))
    made.run(1.0)
    made.fill("quick")
    made.run(60.0)
    assert sum(made.held(endpoint.name) for endpoint in slow) == 12
    assert min(len(endpoint.waits) for endpoint in slow) >= 2
    assert max(quick.waits) == 0.0


def test_slow_one_gets_its_part_when_another_ones_requests_end() -> None:
    made = alone(16, 2.0)
    made.add(Endpoint("slow", 2.0))
    made.fill("slow")
    made.run(made.now + 2.5)
    assert (made.held("hog"), made.held("slow")) == (5, 5)


def test_endpoint_that_begins_to_hang_leaves_the_others_a_thread() -> None:
    made = alone(16, SERVICE_S)
    made.endpoints["hog"].request_s = FOREVER_S
    sparse = made.add(Endpoint("sparse", 0.01, lanes=1))
    made.trickle("sparse", 0.1)
    made.run(made.now + 10.0)
    assert made.held("hog") == 15
    assert len(sparse.waits) > 90
    assert max(sparse.waits) <= SERVICE_S + LITTLE_S


def test_each_ingest_process_gets_its_part_within_seconds() -> None:
    made = alone(16, SERVICE_S, ingests=2)
    other = made.add(Endpoint("other", SERVICE_S), ingest=1)
    made.fill("other")
    assert made.mean_held("other", 1.0) > 5
    assert max(other.waits) <= SERVICE_S + LITTLE_S
    made.run(made.now + 3.0)
    assert made.mean_held("other", 1.0) == pytest.approx(7.5, abs=1.0)
    assert made.waiting <= 4


def test_queue_holds_hardly_more_tasks_than_there_are_threads() -> None:
    made = Threads(16)
    for number in range(8):
        made.add(Endpoint(f"hog-{number}", SERVICE_S))
        made.fill(f"hog-{number}")
    longest = 0
    made.run(1.0)
    for _ in range(200):
        made.run(made.now + 0.01)
        longest = max(longest, made.waiting)
    assert longest <= 1
