"""How many lanes may be in flight: of one subscription, and of all that fail."""

from tests.harness.lanes import FAILED, about, dispatches, fill, lane_of, route
from webhookd.flow.allowance import FEWEST, Allowance, Slots, slots_of
from webhookd.flow.lane import PROVEN_S
from webhookd.flow.queues import FIRST, RETRY
from webhookd.flow.report import Kind
from webhookd.flow.route import Route
from webhookd.flow.worker_state import WorkerState


def full(lanes: int, size: int = 1) -> Route:
    made = route(lanes, size=size)
    for number in range(lanes):
        fill(made, number, range(size))
    return made


def test_slots_are_shared_between_ingest_processes() -> None:
    alone, shared = Slots(first=256, retry=64), Slots(first=256, retry=64, ingests=2)
    assert (alone.of_subscription, alone.failing) == (64, 32)
    assert (shared.of_subscription, shared.failing) == (32, 16)


def test_few_slots_still_let_something_flow() -> None:
    slots = Slots(first=1, retry=1, ingests=9)
    assert (slots.of_subscription, slots.failing) == (FEWEST, FEWEST)


def test_slots_are_those_of_the_workers_that_take_from_a_queue() -> None:
    def worker(slots: int, *queues: str) -> WorkerState:
        return WorkerState(
            id=str(slots), queues=queues, slots=slots, busy=0, since_began_s=None, since_ended_s=None, started_at=0.0
        )

    workers = [worker(1, FIRST), worker(20, RETRY), worker(300, FIRST, RETRY)]
    assert slots_of(workers, 2) == Slots(first=301, retry=320, ingests=2)


def test_subscription_has_no_more_lanes_in_flight_than_allowed() -> None:
    made = full(10)
    first = made.ready(0.0, Allowance(lanes=4))
    assert (len(first), made.ready(0.0, Allowance(lanes=4))) == (4, [])


def test_mixed_batch_takes_no_more_lanes_than_allowed() -> None:
    made = route(10, size=100)
    for number in range(10):
        fill(made, number, [1])
    (mixed,) = made.ready(99.0, Allowance(lanes=4))
    assert len(mixed.lanes) == 4


def test_busy_lanes_give_the_others_a_turn() -> None:
    made = full(6)
    served = set()
    for _ in range(3):
        for delivery in made.ready(0.0, Allowance(lanes=2)):
            (lane,) = delivery.lanes
            served.add(lane.partition.number)
            lane.delivery = None
            fill(made, lane.partition.number, [lane.ledger.seen])
    assert len(served) >= 4


def test_failing_lanes_wait_for_a_place_and_others_do_not() -> None:
    made = full(3)
    lane_of(made, 0).failures = 1
    lane_of(made, 1).failures = 1
    allowance = Allowance(failing=1)
    lanes = [delivery.lanes[0].partition.number for delivery in made.ready(0.0, allowance)]
    assert (lanes, allowance.failing) == ([0, 2], 0)


def test_failing_deliveries_are_counted_while_they_are_under_way() -> None:
    made, flying = full(2), dispatches()
    lane_of(made, 0).failures = 1
    for delivery in made.ready(0.0):
        flying.published(delivery, 0.0)
    assert flying.failing == 1


def test_success_proves_an_endpoint_for_a_while() -> None:
    lane = lane_of(route())
    unknown = lane.proven(0.0)
    lane.succeeded_at = 0.0
    assert (unknown, lane.proven(PROVEN_S - 1), lane.proven(PROVEN_S)) == (False, True, False)
    lane.failures = 1
    assert not lane.proven(1.0)


def test_lane_that_waits_for_its_retry_takes_no_place() -> None:
    made, flying = full(2), dispatches()
    (first,) = made.ready(0.0, Allowance(lanes=1))
    flying.published(first, 0.0)
    taken = made.ready(0.0, Allowance(lanes=1))
    flying.report(about(first, Kind.RETRY, failure=FAILED, wait_s=60.0), 0.0)
    assert (taken, len(made.ready(0.0, Allowance(lanes=1)))) == ([], 1)
