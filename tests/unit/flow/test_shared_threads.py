"""Which subscription gets worker threads: a single one all, several a fair part within a second, a newcomer a free one.

Oracle: how many threads each subscription uses, and how long deliveries wait (tests/harness/shared_threads.py).
"""

import pytest

from tests.harness.shared_threads import FOREVER_S, Endpoint, Threads

SERVICE_S = 0.2
LITTLE_S = 0.001


def alone(threads: int, request_s: float, ingests: int = 1) -> Threads:
    """A single subscription with many lanes, which has used the threads for a while."""
    made = Threads(threads, ingests)
    made.add(Endpoint("busy", request_s, lanes=2 * threads + 32))
    made.fill("busy")
    made.run(4.0)
    return made


@pytest.mark.parametrize(("threads", "share"), [(1, 1), (4, 4), (16, 15), (64, 60)])
def test_single_subscription_gets_all_threads_but_the_reserved_ones(threads: int, share: int) -> None:
    made = alone(threads, SERVICE_S)
    assert made.mean_used("busy", 0.5) == pytest.approx(share)


def test_single_slow_subscription_gets_half() -> None:
    made = alone(16, 10.0)
    assert (made.used("busy"), made.waiting) == (8, 0)


def test_single_subscription_gets_them_beside_idle_ingest_processes() -> None:
    assert alone(16, SERVICE_S, ingests=3).mean_used("busy", 1.0) == pytest.approx(15)


@pytest.mark.parametrize("others", [1, 2, 4])
def test_equal_parts_within_a_second(others: int) -> None:
    made = alone(16, SERVICE_S)
    names = [f"other-{number}" for number in range(others)]
    for name in names:
        made.add(Endpoint(name, SERVICE_S))
        made.fill(name)
    made.run(made.now + 1.0)
    parts = [made.mean_used(name, 0.4) for name in ["busy", *names]]
    assert min(parts) >= 15 // (others + 1)
    assert max(parts) <= 15 // (others + 1) + 1


def test_threads_that_one_does_not_want_go_to_the_other() -> None:
    made = alone(16, SERVICE_S)
    made.add(Endpoint("narrow", SERVICE_S, lanes=3))
    made.fill("narrow")
    made.run(made.now + 1.0)
    assert made.mean_used("narrow", 0.5) == pytest.approx(3, abs=0.1)
    assert made.mean_used("busy", 0.5) == pytest.approx(12, abs=0.1)


def test_sparse_subscriptions_wait_no_longer_than_one_request_of_a_busy_one() -> None:
    made = alone(16, SERVICE_S)
    sparse = [made.add(Endpoint(f"sparse-{number}", 0.01, lanes=1)) for number in range(10)]
    for number, endpoint in enumerate(sparse):
        made.trickle(endpoint.name, 0.11 + number / 97)
    made.run(made.now + 10.0)
    assert all(len(endpoint.waits) > 40 for endpoint in sparse)
    assert max(wait for endpoint in sparse for wait in endpoint.waits) <= SERVICE_S + LITTLE_S
    assert made.mean_used("busy", 2.0) > 13


def test_newcomers_get_a_thread_beside_slow_subscriptions() -> None:
    made = alone(16, 30.0)
    made.add(Endpoint("slow", 30.0))
    made.fill("slow")
    newcomers = [made.add(Endpoint(f"new-{number}", 0.05, lanes=1, succeeded=False)) for number in range(3)]
    for endpoint in newcomers:
        made.fill(endpoint.name, each=1)
    made.run(made.now + 1.0)
    assert (made.used("busy"), made.used("slow")) == (8, 4)
    assert [endpoint.waits for endpoint in newcomers] == [[0.0]] * 3


def test_many_slow_subscriptions_leave_a_quarter_to_the_others() -> None:
    made = Threads(16)
    slow = [made.add(Endpoint(f"slow-{number}", 8.0, lanes=4)) for number in range(30)]
    for endpoint in slow:
        made.fill(endpoint.name)
    quick = made.add(Endpoint("quick", 0.05))
    made.run(1.0)
    made.fill("quick")
    made.run(60.0)
    assert sum(made.used(endpoint.name) for endpoint in slow) == 12
    assert min(len(endpoint.waits) for endpoint in slow) >= 2
    assert max(quick.waits) == 0.0


def test_slow_subscription_gets_its_part_when_requests_of_another_end() -> None:
    made = alone(16, 2.0)
    made.add(Endpoint("slow", 2.0))
    made.fill("slow")
    made.run(made.now + 2.5)
    assert (made.used("busy"), made.used("slow")) == (5, 5)


def test_endpoint_that_begins_to_hang_leaves_a_thread_to_the_others() -> None:
    made = alone(16, SERVICE_S)
    made.endpoints["busy"].request_s = FOREVER_S
    sparse = made.add(Endpoint("sparse", 0.01, lanes=1))
    made.trickle("sparse", 0.1)
    made.run(made.now + 10.0)
    assert made.used("busy") == 15
    assert len(sparse.waits) > 90
    assert max(sparse.waits) <= SERVICE_S + LITTLE_S


def test_each_ingest_process_gets_its_part_within_seconds() -> None:
    made = alone(16, SERVICE_S, ingests=2)
    other = made.add(Endpoint("other", SERVICE_S), ingest=1)
    made.fill("other")
    assert made.mean_used("other", 1.0) > 5
    assert max(other.waits) <= SERVICE_S + LITTLE_S
    made.run(made.now + 3.0)
    assert made.mean_used("other", 1.0) == pytest.approx(7.5, abs=1.0)
    assert made.waiting <= 4


def test_queue_holds_at_most_one_waiting_task() -> None:
    made = Threads(16)
    for number in range(8):
        made.add(Endpoint(f"busy-{number}", SERVICE_S))
        made.fill(f"busy-{number}")
    longest = 0
    made.run(1.0)
    for _ in range(200):
        made.run(made.now + 0.01)
        longest = max(longest, made.waiting)
    assert longest <= 1
