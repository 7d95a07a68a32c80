"""Who may take the next thread: pools, and the room of a subscription in them."""

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
from webhookd.flow.dispatch.fair_pool import FairPool
from webhookd.flow.dispatch.queue_names import FIRST, RETRY
from webhookd.flow.dispatch.round_robin import RoundRobin
from webhookd.flow.dispatch.worker_heartbeat import WorkerHeartbeat

NONE = ThreadsInUse()


def full(lanes: int, size: int = 1, *, proven: bool = True, alone: bool = True) -> BatchAccumulator:
    """A route all of whose lanes have something to send, each in a task of its own unless told otherwise."""
    made = accumulator(lanes, size=size)
    for number in range(lanes):
        fill(made, number, range(size))
        lane_of(made, number).send_alone = alone
        lane_of(made, number).endpoint_latency.succeeded_at = 0.0 if proven else -inf
    return made


def worker(slots: int, *queues: str, busy: int = 0) -> WorkerHeartbeat:
    return WorkerHeartbeat(
        id=str(slots), queues=queues, threads=slots, busy=busy, since_began_s=None, since_ended_s=None, started_at=0.0
    )


def room_of(made: BatchAccumulator, shares: ConcurrencyLimits, id_: str = "s") -> SubscriptionLimit:
    """The room of a subscription that is counted and looked at."""
    shares.set_in_use(id_, made.threads_in_use(0.0), slow=made.endpoint_latency.slow)
    return shares.subscription_limit(id_, slow=made.endpoint_latency.slow)


def leaving(made: BatchAccumulator, shares: ConcurrencyLimits, id_: str = "s") -> int:
    """How many deliveries leave when the subscription is looked at."""
    return len(made.ready(0.0, room_of(made, shares, id_)))


def test_load_is_that_of_the_workers_that_take_from_a_queue() -> None:
    workers = [worker(1, FIRST, busy=1), worker(20, RETRY, busy=2), worker(300, FIRST, RETRY, busy=40)]
    assert load_of(workers, 2) == ThreadLoad(
        threads=WorkerThreads(first=301, retry=320, both=300, ingests=2), busy_first=41, busy_retry=42
    )


def test_pool_gives_one_all_and_two_half() -> None:
    pool = FairPool()
    pool.size = 10.0
    pool.set_in_use("a", 9.0)
    assert pool.allows("a")
    pool.set_in_use("a", 10.0)
    pool.set_wants_more("a", more=True)
    pool.set_wants_more("b", more=True)
    pool.set_in_use("b", 3.0)
    pool.set_in_use("a", 6.0)
    assert (pool.allows("a"), pool.allows("b")) == (False, True)


def test_pool_with_a_spare_keeps_room_for_a_newcomer() -> None:
    pool = FairPool(0.5)
    pool.size = 12.0
    held = 0.0
    while pool.allows("a"):
        held += 1.0
        pool.set_in_use("a", held)
    assert (held, pool.allows("b")) == (8.0, True)


def test_pool_with_a_spare_is_never_exceeded() -> None:
    without, spare = FairPool(), FairPool(0.5)
    for pool in (without, spare):
        pool.size = 4.0
        pool.set_in_use("a", 4.0)
    assert (without.allows("b"), spare.allows("b")) == (True, False)


def test_recounted_pool_is_what_subscriptions_hold() -> None:
    pool = FairPool()
    for third in range(1, 1000):
        pool.set_in_use("a", third / 3)
        pool.set_in_use("b", third / 7)
    pool.set_in_use("a", 0.0)
    pool.set_in_use("b", 0.0)
    pool.recount()
    assert pool.total == 0.0


def test_few_slots_still_let_something_flow() -> None:
    shares = ConcurrencyLimits(WorkerThreads(first=1, retry=1, both=1))
    assert leaving(full(9), shares) == MIN_IN_FLIGHT
    shares = ConcurrencyLimits(WorkerThreads(first=2, retry=2, both=2))
    assert leaving(full(9, proven=False), shares) == MIN_IN_FLIGHT - 1


def test_lanes_that_share_a_task_share_a_thread() -> None:
    rotation = RoundRobin(WorkerThreads(first=16, retry=16))
    made = full(64, alone=False)
    deliveries = rotation.ready({"s": made}, 0.0, unforeseen)
    assert len(deliveries) == 64
    assert made.threads_in_use(0.0).first == pytest.approx(1.0)


def unforeseen(_id: str, error: Exception) -> None:
    raise error


def test_those_that_keep_a_shared_task_open_hold_its_thread() -> None:
    rotation, in_flight = RoundRobin(WorkerThreads(first=16, retry=16)), in_flight_deliveries()
    made = full(4, alone=False)
    deliveries = rotation.ready({"s": made}, 0.0, unforeseen)
    for delivery in deliveries:
        in_flight.published(delivery, 0.0)
        in_flight.apply(about(delivery, ReportKind.STARTED), 0.0)
    for delivery in deliveries[:2]:
        in_flight.apply(about(delivery, ReportKind.FINISHED, 1, sending_s=0.1), 0.1)
    rotation.recount(0.2, retrying=0)
    before = made.threads_in_use(0.2).first
    rotation.recount(1.0, retrying=0)
    assert (before, made.threads_in_use(1.0).first) == (0.5, 1.0)


def test_mixed_batch_takes_one_thread() -> None:
    made = full(10, size=1)
    mixing = accumulator(10, size=100)
    for number in range(10):
        fill(mixing, number, [1])
        lane_of(mixing, number).endpoint_latency.succeeded_at = 98.0
    shares = ConcurrencyLimits(WorkerThreads(first=4, retry=4))
    (mixed,) = mixing.ready(99.0, room_of(mixing, shares, "mixing"))
    assert len(mixed.lanes) == 10
    assert mixing.threads_in_use(99.0).first == pytest.approx(1.0)
    assert leaving(made, shares) == 4


def test_busy_lanes_give_the_others_a_turn() -> None:
    made = full(6)
    shares = ConcurrencyLimits(WorkerThreads(first=1, retry=1))
    served = set()
    for _ in range(3):
        for delivery in made.ready(0.0, room_of(made, shares)):
            (lane,) = delivery.lanes
            served.add(lane.partition.number)
            lane.delivery = None
            fill(made, lane.partition.number, [lane.ledger.position])
    assert served == set(range(6))


def test_failing_lanes_wait_for_a_place_and_others_do_not() -> None:
    made = full(12)
    for number in range(8):
        lane_of(made, number).failures = 1
    shares = ConcurrencyLimits(WorkerThreads(first=64, retry=8))
    other = full(2)
    for number in range(2):
        lane_of(other, number).failures = 1
    assert leaving(made, shares) == 3 + 4
    assert leaving(other, shares, "other") == 1
    assert leaving(full(1), shares, "third") == 1


def test_refused_subscriptions_get_their_turn_in_failing_too() -> None:
    rotation = RoundRobin(WorkerThreads(first=8, retry=8))
    accumulators = {str(number): full(2) for number in range(12)}
    for made in accumulators.values():
        for lane in made.lanes.values():
            lane.failures = 1
    served: set[str] = set()
    for _ in range(4):
        for delivery in rotation.ready(accumulators, 0.0, unforeseen):
            served.add(next(id_ for id_, made in accumulators.items() if delivery.lanes[0] in made.lanes.values()))
            delivery.lanes[0].delivery = None
        rotation.recount(0.0, retrying=0)
    assert served == set(accumulators)


def test_nothing_that_fails_leaves_while_too_many_wait_for_their_retry() -> None:
    made = full(2)
    lane_of(made, 0).failures = 1
    shares = ConcurrencyLimits(WorkerThreads(first=64, retry=64))
    shares.recounted(RETRYING_LIMIT)
    assert leaving(made, shares) == 1
    shares.recounted(RETRYING_LIMIT - 1)
    assert leaving(made, shares) == 1


def test_new_endpoints_leave_the_first_attempts_threads_alone() -> None:
    made = full(64, proven=False)
    shares = ConcurrencyLimits(WorkerThreads(first=16, retry=16))
    assert (leaving(made, shares), leaving(full(64), shares, "other")) == (8, 15)


def test_new_endpoints_count_where_workers_take_both_queues() -> None:
    made = full(64, proven=False)
    shares = ConcurrencyLimits(WorkerThreads(first=16, retry=16, both=16))
    assert (leaving(made, shares), leaving(full(64), shares, "other")) == (3, 12)


def test_several_ingest_processes_use_what_the_others_leave() -> None:
    shares = ConcurrencyLimits(WorkerThreads(first=64, retry=64, ingests=2))
    slots = WorkerThreads(first=64, retry=64, ingests=2)
    shares.resize(ThreadLoad(threads=slots, busy_first=10))
    assert leaving(full(99), shares) == 54 - 3
    shares.resize(ThreadLoad(threads=slots, busy_first=60))
    assert leaving(full(99), shares, "other") == 1


def test_request_time_rises_at_once_and_falls_by_half() -> None:
    time = EndpointLatency()
    time.measured(2, 8 * SLOW_REQUEST_S)
    slow = [time.slow]
    for _ in range(3):
        time.measured(10, 0.0)
        slow.append(time.slow)
    time.at_least(2 * SLOW_REQUEST_S)
    assert (slow, time.slow) == ([True, True, False, False], True)


def test_silence_of_a_request_under_way_makes_its_subscription_slow() -> None:
    made, in_flight = full(2), in_flight_deliveries()
    (first, _) = made.ready(0.0)
    in_flight.published(first, 0.0)
    in_flight.apply(about(first, ReportKind.STARTED), 1.0)
    made.threads_in_use(1.0 + SLOW_REQUEST_S)
    soon = made.endpoint_latency.slow
    made.threads_in_use(1.1 + SLOW_REQUEST_S)
    assert (soon, made.endpoint_latency.slow) == (False, True)


def test_failed_request_says_how_long_requests_take() -> None:
    made, in_flight = full(1), in_flight_deliveries()
    (first,) = made.ready(0.0)
    in_flight.published(first, 0.0)
    in_flight.apply(about(first, ReportKind.RETRY, sending_s=15.0, failure=FAILED, wait_s=60.0), 15.0)
    assert made.endpoint_latency.slow


def test_success_proves_an_endpoint_for_a_while() -> None:
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


def test_delivery_that_waits_for_its_retry_holds_no_thread() -> None:
    made, in_flight = full(1), in_flight_deliveries()
    (first,) = made.ready(0.0)
    in_flight.published(first, 0.0)
    before = made.threads_in_use(0.0)
    in_flight.apply(about(first, ReportKind.RETRY, failure=FAILED, wait_s=60.0), 0.0)
    waiting = made.threads_in_use(0.0)
    in_flight.apply(about(first, ReportKind.STARTED), 60.0)
    again = made.threads_in_use(60.0)
    assert (before.first, waiting, again.first, again.retried, again.failing) == (1.0, NONE, 0.0, 1.0, 1.0)


def test_retries_leave_the_queue_for_retries_to_newcomers() -> None:
    rotation, in_flight = RoundRobin(WorkerThreads(first=16, retry=16)), in_flight_deliveries()
    failing = {str(number): full(1, proven=False) for number in range(12)}
    first = rotation.ready(failing, 0.0, unforeseen)
    for delivery in first:
        in_flight.published(delivery, 0.0)
        in_flight.apply(about(delivery, ReportKind.RETRY, failure=FAILED, wait_s=5.0), 1.0)
        in_flight.apply(about(delivery, ReportKind.STARTED), 6.0)
    for made in failing.values():
        fill(made, 0, [1])
    rotation.ready(failing, 6.0, unforeseen)  # what touches them while their retries run
    rotation.recount(6.0, retrying=0)
    for delivery in first:
        in_flight.apply(about(delivery, ReportKind.RETRY, failure=FAILED, wait_s=900.0), 20.0)
    rotation.recount(20.0, retrying=12)
    newcomers = {f"new-{number}": full(1, proven=False) for number in range(12)}
    assert (len(first), len(rotation.ready(newcomers, 20.0, unforeseen))) == (12, 12)


def test_lanes_that_were_silent_go_with_those_whose_endpoint_answered() -> None:
    made = accumulator(2, size=100)
    lane_of(made, 1).endpoint_latency.succeeded_at = 99.9
    for number in range(2):
        fill(made, number, [1])
    (mixed,) = made.ready(100.5)
    assert (len(mixed.lanes), mixed.queue) == (2, FIRST)
