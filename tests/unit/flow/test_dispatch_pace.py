"""What leaves of a subscription with limits: its deliveries, their sizes, and when the next ones are due."""

from collections.abc import Sequence

import pytest

from tests.harness.lanes import FAILED, LIMITS, about, fill, in_flight_deliveries, lane_of, paced_accumulator
from webhookd.flow.attempt.attempt_report import LoggedExchange, ReportKind
from webhookd.flow.batching.throughput import ThroughputEstimate
from webhookd.flow.destination import RateLimit, RateUnit
from webhookd.flow.dispatch.accumulator import BatchAccumulator
from webhookd.flow.dispatch.delivery import Delivery, DeliveryStage
from webhookd.flow.dispatch.dispatch_pace import ASSUMED_LOST_S, BURST_S, LEAD_S, REFUSED_S, SHOWN_S
from webhookd.flow.dispatch.request_quota import HeldBy, Quota

PER_SECOND, BURST = 10.0, 4
BUSY = LoggedExchange(0.0, "msg_0", 429, error="http_429")
BUSY_FOR_30_S = LoggedExchange(0.0, "msg_0", 503, b"HTTP/1.1 503 x\r\nRetry-After: 30\r\n\r\n", error="http_503")


def rate(unit: RateUnit = RateUnit.REQUESTS, burst: int = BURST, subject: str = "s1") -> Quota:
    return Quota(subject=subject, rate=RateLimit(per_second=PER_SECOND, burst=burst, unit=unit))


def concurrency(most: int) -> Quota:
    return Quota(subject="s1", max_concurrent=most)


def filled(*quotas: Quota, lanes: int = 1, size: int = 1, records: int = 40) -> BatchAccumulator:
    """An accumulator whose lanes have so many records each, and a fast endpoint."""
    made = paced_accumulator(quotas, lanes, size=size)
    for number in range(lanes):
        lane_of(made, number).throughput = ThroughputEstimate(LIMITS.delivery_target_s)
        lane_of(made, number).throughput.measured(8, 0.001)
        fill(made, number, range(records))
    return made


def ended(deliveries: Sequence[Delivery], now: float, failure: LoggedExchange | None = None) -> None:
    """All batches of these deliveries are acknowledged, or the first one has failed and waits for its retry."""
    in_flight = in_flight_deliveries()
    for delivery in deliveries:
        in_flight.published(delivery, now)
        kind, done = (ReportKind.RETRY, 0) if failure else (ReportKind.FINISHED, len(delivery.batches))
        in_flight.apply(about(delivery, kind, done, failure=failure, wait_s=5.0), now)


def batches(deliveries: Sequence[Delivery]) -> int:
    return sum(len(delivery.batches) for delivery in deliveries)


def sent_until(made: BatchAccumulator, until: float, step_s: float = 0.05) -> int:
    """How many batches leave until then, if each delivery ends at once."""
    count = 0
    for tick in range(round(until / step_s)):
        ready = made.ready(tick * step_s)
        count += batches(ready)
        ended(ready, tick * step_s)
    return count


def test_without_limits_everything_leaves() -> None:
    made = filled(lanes=3)
    assert (len(made.ready(0.0)), made.pace.why_held(0.0)) == (3, "")


def test_delivery_has_what_fits_the_burst_and_a_quarter_of_a_second() -> None:
    made = filled(rate())
    (delivery,) = made.ready(0.0)
    assert (len(delivery.batches), delivery.paced, delivery.own_task) == (BURST + 2, True, True)


def test_rate_holds_over_time() -> None:
    assert sent_until(filled(rate(), lanes=4), 10.0) == pytest.approx(10 * PER_SECOND + BURST + 2, abs=2)


def test_records_are_counted_where_the_unit_says_so() -> None:
    made = filled(rate(RateUnit.RECORDS, burst=20), size=10)
    assert sent_until(made, 1.0) * 10 == pytest.approx(30, abs=10)


def test_next_delivery_is_due_shortly_before_its_token() -> None:
    made = filled(rate(burst=1), lanes=2)
    (first,) = made.ready(0.0)
    taken_until = len(first.batches) / PER_SECOND
    assert made.ready(0.0) == []
    assert made.due_at() == pytest.approx(taken_until - LEAD_S)
    assert made.ready(taken_until - LEAD_S - 0.01) == []
    assert len(made.ready(taken_until - LEAD_S + 0.01)) == 1


def test_lanes_take_turns() -> None:
    made = filled(rate(burst=1), lanes=4)
    served = []
    for tick in range(60):
        ready = made.ready(tick * 0.05)
        served += [delivery.lanes[0].partition.number for delivery in ready]
        ended(ready, tick * 0.05)
    assert {served.count(number) for number in range(4)} <= {served.count(0) - 1, served.count(0), served.count(0) + 1}


def test_unsent_batches_give_their_tokens_back() -> None:
    made = filled(rate())
    (first,) = made.ready(0.0)
    in_flight = in_flight_deliveries()
    in_flight.published(first, 0.0)
    in_flight.apply(about(first, ReportKind.FINISHED, 1), 0.0)
    (second,) = made.ready(0.0)
    assert len(second.batches) == BURST + 1


def test_retry_of_a_worker_takes_one_token() -> None:
    made = filled(rate(burst=2), lanes=2)
    (first,) = made.ready(0.0)
    in_flight = in_flight_deliveries()
    in_flight.published(first, 0.0)
    in_flight.apply(about(first, ReportKind.RETRY, 2, failure=FAILED, wait_s=5.0), 0.0)
    before = made.pace.opens_at
    in_flight.apply(about(first, ReportKind.STARTED), 5.0)
    assert (before, made.pace.opens_at) == pytest.approx((0.2 - LEAD_S, 5.0 - LEAD_S))


def test_concurrency_counts_deliveries_in_flight() -> None:
    made = filled(concurrency(2), lanes=4)
    first = made.ready(0.0)
    assert (len(first), made.ready(0.0), made.pace.why_held(0.0)) == (2, [], HeldBy.CONCURRENCY)
    ended(first[:1], 0.0)
    assert len(made.ready(0.0)) == 1


@pytest.mark.parametrize(
    ("age_s", "leaves"), [(REFUSED_S - 0.01, True), (REFUSED_S + 0.01, False), (ASSUMED_LOST_S, True)]
)
def test_delivery_that_workers_refuse_holds_back_the_others(age_s: float, leaves: bool) -> None:
    made = filled(rate(burst=100), lanes=2, records=1)
    (refused, _) = made.ready(0.0)
    in_flight_deliveries().published(refused, 0.0)
    lane_of(made, 1).delivery = None
    fill(made, 1, [41])
    assert bool(made.ready(age_s)) is leaves


def test_delivery_that_a_worker_has_refused_holds_back_the_others_until_it_is_claimed() -> None:
    made, in_flight = filled(rate(burst=100), lanes=2, records=1), in_flight_deliveries()
    (refused, _) = made.ready(0.0)
    in_flight.published(refused, 0.0)
    lane_of(made, 1).delivery = None
    fill(made, 1, [41])
    in_flight.apply(about(refused, ReportKind.WAITING, wait_s=60.0, detail=HeldBy.HOST_LIMIT), 0.0)
    alone = made.pace.why_held(60.0)
    held = [made.ready(now) for now in (0.0, 30.0, 60.0 + ASSUMED_LOST_S - 0.01)]
    assert (held, alone, made.pace.why_held(60.0)) == ([[]] * 3, HeldBy.HOST_LIMIT, HeldBy.HOST_LIMIT)
    in_flight.apply(about(refused, ReportKind.STARTED), 60.0)
    assert (len(made.ready(60.0)), made.pace.why_held(70.0)) == (1, "")


def test_delivery_that_a_worker_has_refused_and_lost_holds_nothing_back() -> None:
    made, in_flight = filled(rate(burst=100), lanes=2, records=1), in_flight_deliveries()
    (refused, _) = made.ready(0.0)
    in_flight.published(refused, 0.0)
    lane_of(made, 1).delivery = None
    fill(made, 1, [41])
    in_flight.apply(about(refused, ReportKind.WAITING, wait_s=60.0, detail="of a later version"), 0.0)
    assert (made.pace.why_held(1.0), len(made.ready(60.0 + ASSUMED_LOST_S))) == ("", 1)


def test_due_retry_comes_before_new_deliveries() -> None:
    made = filled(rate(burst=100), lanes=2)
    first, _ = made.ready(0.0)
    first.stage, first.claimable_at = DeliveryStage.RETRYING, 10.0
    lane_of(made, 1).delivery = None
    room_before, room_after = made.pace.room([first], 10.0), made.pace.room([first], 10.0 + REFUSED_S + 0.01)
    assert room_before is not None
    assert room_after is not None
    assert (room_before.admits(1), room_after.admits(1)) == (True, False)


def test_429_slows_down_all_lanes_of_the_subscription() -> None:
    made = filled(lanes=2, records=400)
    first, second = made.ready(0.0)
    ended([second], 0.5)
    ended([first], 0.9, failure=BUSY)
    halved = len(second.batches) / 2
    (paced,) = made.ready(0.9)
    assert len(paced.batches) == pytest.approx(halved * (LEAD_S + BURST_S), abs=1)
    assert (made.ready(0.9), made.pace.why_held(0.9)) == ([], "")
    ended([paced], 0.91)
    assert (made.ready(0.91), made.pace.why_held(0.91)) == ([], HeldBy.SLOW_DOWN)


def test_retry_after_stops_all_lanes_of_the_subscription() -> None:
    made = filled(lanes=2)
    first, second = made.ready(0.0)
    ended([first], 0.0, failure=BUSY_FOR_30_S)
    ended([second], 0.0)
    fill(made, 1, range(100, 140))
    assert (made.ready(29.9), made.pace.why_held(29.9), made.due_at()) == ([], HeldBy.RETRY_AFTER, 30.0)
    assert len(made.ready(30.0)) == 1


def test_status_forgets_why_records_were_held() -> None:
    made = filled(rate(burst=1), lanes=2)
    made.ready(0.0)
    made.ready(0.0)
    assert (made.pace.why_held(0.0), made.pace.why_held(SHOWN_S)) == (HeldBy.RATE_LIMIT, "")


def test_limit_of_the_host_is_named() -> None:
    made = filled(rate(burst=1, subject="host:example.com"), lanes=2)
    made.ready(0.0)
    made.ready(0.0)
    assert made.pace.why_held(0.0) == HeldBy.HOST_LIMIT
