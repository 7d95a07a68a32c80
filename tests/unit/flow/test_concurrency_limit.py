"""Which subscription may use the next thread."""

from math import inf

import pytest

from tests.harness.lanes import FAILED, about, accumulator, fill, in_flight_deliveries, lane_of
from webhookd.flow.attempt.attempt_report import ReportKind
from webhookd.flow.batching.endpoint_latency import SLOW_REQUEST_S, EndpointLatency
from webhookd.flow.batching.lane import RECENT_SUCCESS_S
from webhookd.flow.dispatch.accumulator import BatchAccumulator
from webhookd.flow.dispatch.concurrency_limit import (
    MIN_IN_FLIGHT,
    RETRYING_LIMIT,
    ConcurrencyLimits,
    SubscriptionLimit,
    ThreadLoad,
    ThreadsInUse,
    WorkerThreads,
    load_of,
)
from webhookd.flow.dispatch.queue_names import FIRST, RETRY
from webhookd.flow.dispatch.round_robin import RoundRobin
from webhookd.flow.dispatch.worker_heartbeat import WorkerHeartbeat

NONE = ThreadsInUse()


def full(lanes: int, size: int = 1, *, succeeded: bool = True, alone: bool = True) -> BatchAccumulator:
    """An accumulator with records in all its lanes, each lane in a task of its own unless `alone` is False."""
    subscription = accumulator(lanes, size=size)
    for number in range(lanes):
        fill(subscription, number, range(size))
        lane_of(subscription, number).send_alone = alone
        lane_of(subscription, number).endpoint_latency.succeeded_at = 0.0 if succeeded else -inf
    return subscription


def worker(threads: int, *queues: str, busy: int = 0) -> WorkerHeartbeat:
    return WorkerHeartbeat(
        id=str(threads),
        queues=queues,
        threads=threads,
        busy=busy,
        since_began_s=None,
        since_ended_s=None,
        started_at=0.0,
    )


def limit_of(subscription: BatchAccumulator, limits: ConcurrencyLimits, id_: str = "s") -> SubscriptionLimit:
    """The limit of a subscription whose threads in use are counted."""
    limits.set_in_use(id_, subscription.threads_in_use(0.0), slow=subscription.endpoint_latency.slow)
    return limits.subscription_limit(id_, slow=subscription.endpoint_latency.slow)


def count_ready(subscription: BatchAccumulator, limits: ConcurrencyLimits, id_: str = "s") -> int:
    """How many deliveries of the subscription may leave."""
    return len(subscription.ready(0.0, limit_of(subscription, limits, id_)))


def test_load_is_counted_by_queue() -> None:
    workers = [worker(1, FIRST, busy=1), worker(20, RETRY, busy=2), worker(300, FIRST, RETRY, busy=40)]
    assert load_of(workers, 2) == ThreadLoad(
        threads=WorkerThreads(first=301, retry=320, both=300, ingests=2), busy_first=41, busy_retry=42
    )


def test_few_threads_still_allow_some_deliveries() -> None:
    limits = ConcurrencyLimits(WorkerThreads(first=1, retry=1, both=1))
    assert count_ready(full(9), limits) == MIN_IN_FLIGHT
    limits = ConcurrencyLimits(WorkerThreads(first=2, retry=2, both=2))
    assert count_ready(full(9, succeeded=False), limits) == MIN_IN_FLIGHT - 1


def test_lanes_that_share_a_task_share_a_thread() -> None:
    round_robin = RoundRobin(WorkerThreads(first=16, retry=16))
    subscription = full(64, alone=False)
    deliveries = round_robin.ready({"s": subscription}, 0.0, raise_it)
    assert len(deliveries) == 64
    assert subscription.threads_in_use(0.0).first == pytest.approx(1.0)


def raise_it(_id: str, error: Exception) -> None:
    raise error


def test_slow_deliveries_of_a_shared_task_use_its_thread() -> None:
    round_robin, in_flight = RoundRobin(WorkerThreads(first=16, retry=16)), in_flight_deliveries()
    subscription = full(4, alone=False)
    deliveries = round_robin.ready({"s": subscription}, 0.0, raise_it)
    for delivery in deliveries:
        in_flight.published(delivery, 0.0)
        in_flight.apply(about(delivery, ReportKind.STARTED), 0.0)
    for delivery in deliveries[:2]:
        in_flight.apply(about(delivery, ReportKind.FINISHED, 1, sending_s=0.1), 0.1)
    round_robin.recount(0.2, retrying=0)
    before = subscription.threads_in_use(0.2).first
    round_robin.recount(1.0, retrying=0)
    assert (before, subscription.threads_in_use(1.0).first) == (0.5, 1.0)


def test_delivery_that_waits_for_a_quota_uses_no_thread() -> None:
    subscription, in_flight = full(2), in_flight_deliveries()
    refused, waiting = RoundRobin(WorkerThreads(first=16, retry=16)).ready({"s": subscription}, 0.0, raise_it)
    for delivery in (refused, waiting):
        in_flight.published(delivery, 0.0)
    in_flight.apply(about(refused, ReportKind.WAITING, wait_s=5.0), 1.0)
    assert subscription.threads_in_use(1.0).first == pytest.approx(1.0)
    in_flight.apply(about(refused, ReportKind.STARTED), 6.0)
    assert subscription.threads_in_use(6.0).first == pytest.approx(2.0)


def test_delivery_that_waited_for_a_quota_comes_back_as_a_task_of_its_own() -> None:
    subscription, in_flight = full(2, alone=False), in_flight_deliveries()
    deliveries = RoundRobin(WorkerThreads(first=16, retry=16)).ready({"s": subscription}, 0.0, raise_it)
    for delivery in deliveries:
        in_flight.published(delivery, 0.0)
        in_flight.apply(about(delivery, ReportKind.WAITING, wait_s=5.0), 1.0)
        in_flight.apply(about(delivery, ReportKind.STARTED), 6.0)
    assert subscription.threads_in_use(6.0).first == pytest.approx(2.0)


def test_mixed_batch_uses_one_thread() -> None:
    subscription = full(10, size=1)
    mixing = accumulator(10, size=100)
    for number in range(10):
        fill(mixing, number, [1])
        lane_of(mixing, number).endpoint_latency.succeeded_at = 98.0
    limits = ConcurrencyLimits(WorkerThreads(first=4, retry=4))
    (mixed,) = mixing.ready(99.0, limit_of(mixing, limits, "mixing"))
    assert len(mixed.lanes) == 10
    assert mixing.threads_in_use(99.0).first == pytest.approx(1.0)
    assert count_ready(subscription, limits) == 4


def test_busy_lanes_come_after_the_others() -> None:
    subscription = full(6)
    limits = ConcurrencyLimits(WorkerThreads(first=1, retry=1))
    served = set()
    for _ in range(3):
        for delivery in subscription.ready(0.0, limit_of(subscription, limits)):
            (lane,) = delivery.lanes
            served.add(lane.partition.number)
            lane.delivery = None
            fill(subscription, lane.partition.number, [lane.ledger.position])
    assert served == set(range(6))


def test_failing_lanes_wait_for_a_thread_and_others_do_not() -> None:
    subscription = full(12)
    for number in range(8):
        lane_of(subscription, number).failures = 1
    limits = ConcurrencyLimits(WorkerThreads(first=64, retry=8))
    other = full(2)
    for number in range(2):
        lane_of(other, number).failures = 1
    assert count_ready(subscription, limits) == 3 + 4
    assert count_ready(other, limits, "other") == 1
    assert count_ready(full(1), limits, "third") == 1


def test_refused_subscriptions_go_first_in_failing_too() -> None:
    round_robin = RoundRobin(WorkerThreads(first=8, retry=8))
    accumulators = {str(number): full(2) for number in range(12)}
    for subscription in accumulators.values():
        for lane in subscription.lanes.values():
            lane.failures = 1
    served: set[str] = set()
    for _ in range(4):
        for delivery in round_robin.ready(accumulators, 0.0, raise_it):
            served.add(next(id_ for id_, one in accumulators.items() if delivery.lanes[0] in one.lanes.values()))
            delivery.lanes[0].delivery = None
        round_robin.recount(0.0, retrying=0)
    assert served == set(accumulators)


def test_failing_lanes_wait_while_too_many_deliveries_await_their_retry() -> None:
    subscription = full(2)
    lane_of(subscription, 0).failures = 1
    limits = ConcurrencyLimits(WorkerThreads(first=64, retry=64))
    limits.recounted(RETRYING_LIMIT)
    assert count_ready(subscription, limits) == 1
    limits.recounted(RETRYING_LIMIT - 1)
    assert count_ready(subscription, limits) == 1


def test_new_endpoints_use_no_thread_for_first_attempts() -> None:
    subscription = full(64, succeeded=False)
    limits = ConcurrencyLimits(WorkerThreads(first=16, retry=16))
    assert (count_ready(subscription, limits), count_ready(full(64), limits, "other")) == (8, 15)


def test_new_endpoints_count_where_workers_take_both_queues() -> None:
    subscription = full(64, succeeded=False)
    limits = ConcurrencyLimits(WorkerThreads(first=16, retry=16, both=16))
    assert (count_ready(subscription, limits), count_ready(full(64), limits, "other")) == (3, 12)


def test_ingest_process_uses_what_the_others_leave() -> None:
    limits = ConcurrencyLimits(WorkerThreads(first=64, retry=64, ingests=2))
    threads = WorkerThreads(first=64, retry=64, ingests=2)
    limits.resize(ThreadLoad(threads=threads, busy_first=10))
    assert count_ready(full(99), limits) == 54 - 3
    limits.resize(ThreadLoad(threads=threads, busy_first=60))
    assert count_ready(full(99), limits, "other") == 1


def test_latency_rises_at_once_and_falls_by_half() -> None:
    time = EndpointLatency()
    time.measured(2, 8 * SLOW_REQUEST_S)
    slow = [time.slow]
    for _ in range(3):
        time.measured(10, 0.0)
        slow.append(time.slow)
    time.at_least(2 * SLOW_REQUEST_S)
    assert (slow, time.slow) == ([True, True, False, False], True)


def test_request_without_a_response_makes_its_subscription_slow() -> None:
    subscription, in_flight = full(2), in_flight_deliveries()
    (first, _) = subscription.ready(0.0)
    in_flight.published(first, 0.0)
    in_flight.apply(about(first, ReportKind.STARTED), 1.0)
    subscription.threads_in_use(1.0 + SLOW_REQUEST_S)
    soon = subscription.endpoint_latency.slow
    subscription.threads_in_use(1.1 + SLOW_REQUEST_S)
    assert (soon, subscription.endpoint_latency.slow) == (False, True)


def test_failed_request_counts_in_the_latency() -> None:
    subscription, in_flight = full(1), in_flight_deliveries()
    (first,) = subscription.ready(0.0)
    in_flight.published(first, 0.0)
    in_flight.apply(about(first, ReportKind.RETRY, sending_s=15.0, failure=FAILED, wait_s=60.0), 15.0)
    assert subscription.endpoint_latency.slow


def test_success_counts_as_recent_for_a_minute() -> None:
    lane = lane_of(accumulator())
    unknown = lane.recently_succeeded(0.0)
    lane.endpoint_latency.succeeded_at = 0.0
    assert (unknown, lane.recently_succeeded(RECENT_SUCCESS_S - 1), lane.recently_succeeded(RECENT_SUCCESS_S)) == (
        False,
        True,
        False,
    )
    lane.failures = 1
    assert not lane.recently_succeeded(1.0)


def test_delivery_that_waits_for_its_retry_uses_no_thread() -> None:
    subscription, in_flight = full(1), in_flight_deliveries()
    (first,) = subscription.ready(0.0)
    in_flight.published(first, 0.0)
    before = subscription.threads_in_use(0.0)
    in_flight.apply(about(first, ReportKind.RETRY, failure=FAILED, wait_s=60.0), 0.0)
    waiting = subscription.threads_in_use(0.0)
    in_flight.apply(about(first, ReportKind.STARTED), 60.0)
    again = subscription.threads_in_use(60.0)
    assert (before.first, waiting, again.first, again.retried, again.failing) == (1.0, NONE, 0.0, 1.0, 1.0)


def test_retries_leave_the_queue_for_retries_to_newcomers() -> None:
    round_robin, in_flight = RoundRobin(WorkerThreads(first=16, retry=16)), in_flight_deliveries()
    failing = {str(number): full(1, succeeded=False) for number in range(12)}
    first = round_robin.ready(failing, 0.0, raise_it)
    for delivery in first:
        in_flight.published(delivery, 0.0)
        in_flight.apply(about(delivery, ReportKind.RETRY, failure=FAILED, wait_s=5.0), 1.0)
        in_flight.apply(about(delivery, ReportKind.STARTED), 6.0)
    for subscription in failing.values():
        fill(subscription, 0, [1])
    round_robin.ready(failing, 6.0, raise_it)  # they are touched while their retries run
    round_robin.recount(6.0, retrying=0)
    for delivery in first:
        in_flight.apply(about(delivery, ReportKind.RETRY, failure=FAILED, wait_s=900.0), 20.0)
    round_robin.recount(20.0, retrying=12)
    newcomers = {f"new-{number}": full(1, succeeded=False) for number in range(12)}
    assert (len(first), len(round_robin.ready(newcomers, 20.0, raise_it))) == (12, 12)


def test_idle_lane_uses_the_queue_of_the_lanes_that_succeeded() -> None:
    subscription = accumulator(2, size=100)
    lane_of(subscription, 1).endpoint_latency.succeeded_at = 99.9
    for number in range(2):
        fill(subscription, number, [1])
    (mixed,) = subscription.ready(100.5)
    assert (len(mixed.lanes), mixed.queue) == (2, FIRST)
