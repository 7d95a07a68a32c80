"""Which deliveries leave now: full batches alone, leftovers mixed, and nothing too early."""

import sys

import pytest

from tests.harness.lanes import TOPIC, WANTED, accumulator, fill, lane, lane_of, offsets_in, offsets_of, records
from webhookd.flow.batching.circuit_breaker import CircuitState
from webhookd.flow.dispatch.accumulator import DeliveryLimits
from webhookd.flow.offsets.position import Partition


def test_single_records_are_always_ready() -> None:
    made = accumulator(2, size=1)
    fill(made, 0, [1, 2])
    fill(made, 1, [5])
    assert [offsets_of(delivery) for delivery in made.ready(0.0)] == [[[1], [2]], [[5]]]


def test_single_records_are_never_mixed() -> None:
    made = accumulator(3, size=1)
    for number in range(3):
        fill(made, number, [number])
    assert [len(delivery.lanes) for delivery in made.ready(99.0)] == [1, 1, 1]


def test_full_batches_leave_alone() -> None:
    made = accumulator(1, size=3)
    fill(made, 0, range(7))
    (delivery,) = made.ready(0.0)
    assert (offsets_of(delivery), delivery.records_per_lane) == ([[0, 1, 2], [3, 4, 5]], None)


def test_unready_leftover_stays_behind() -> None:
    made = accumulator(1, size=3)
    fill(made, 0, range(7))
    made.ready(0.0)
    assert [record.offset for record in lane_of(made).waiting] == [6]


def test_too_few_records_wait() -> None:
    made = accumulator(2, size=5)
    fill(made, 0, [1, 2])
    fill(made, 1, [3, 4])
    assert made.ready(0.99) == []


def test_leftovers_that_fill_a_batch_leave_mixed() -> None:
    made = accumulator(2, size=4)
    fill(made, 1, [10, 11], now=0.1)
    fill(made, 0, [1, 2], now=0.2)
    (delivery,) = made.ready(0.3)
    assert offsets_in(delivery.batches[0].body) == [(1, 10), (1, 11), (0, 1), (0, 2)]
    assert (delivery.records_per_lane, delivery.batches[0].records) == ((2, 2), 4)


def test_mixed_batch_takes_no_more_than_fits() -> None:
    made = accumulator(2, size=4)
    fill(made, 0, [1, 2, 3], now=0.1)
    fill(made, 1, [10, 11, 12], now=0.2)
    (delivery,) = made.ready(0.3)
    assert (delivery.records_per_lane, delivery.batches[0].records) == ((3, 1), 4)
    assert [record.offset for record in lane_of(made, 1).waiting] == [11, 12]


def test_oldest_leftover_goes_after_its_interval() -> None:
    made = accumulator(2, size=10, interval_s=1.0)
    fill(made, 0, [1], now=0.0)
    fill(made, 1, [2], now=0.9)
    (delivery,) = made.ready(1.0)
    assert delivery.records_per_lane == (1, 1)


def test_mixed_batch_is_in_flight_in_all_its_lanes() -> None:
    made = accumulator(2, size=10)
    fill(made, 0, [1])
    fill(made, 1, [2])
    (delivery,) = made.ready(5.0)
    fill(made, 0, range(20, 60))
    fill(made, 1, range(20, 60))
    assert (made.ready(99.0), [lane.delivery for lane in made.lanes.values()]) == ([], [delivery, delivery])


def test_many_leftovers_make_several_mixed_batches() -> None:
    made = accumulator(5, size=4)
    for number in range(5):
        fill(made, number, [1, 2], now=number / 10)
    deliveries = made.ready(0.5)
    assert [[lane.partition.number for lane in delivery.lanes] for delivery in deliveries] == [[0, 1], [2, 3]]


def test_overdue_leftovers_leave_before_younger_ones() -> None:
    made = accumulator(3, size=3, interval_s=1.0)
    fill(made, 0, [1, 2], now=0.9)
    fill(made, 1, [1, 2], now=0.0)
    fill(made, 2, [1, 2], now=0.8)
    (delivery, *more) = made.ready(1.0)
    assert [lane.partition.number for lane in delivery.lanes] == [1, 2]
    assert more == []


def test_full_lanes_do_not_join_the_mix() -> None:
    made = accumulator(3, size=3)
    fill(made, 0, range(3))
    fill(made, 1, [1])
    fill(made, 2, [2])
    own, mixed = made.ready(1.0)
    assert (len(own.lanes), len(mixed.lanes)) == (1, 2)


def test_byte_bound_makes_a_lane_with_large_records_ready() -> None:
    made = accumulator(1, size=100, limits=DeliveryLimits(delivery_bytes=3000, delivery_target_s=0.25))
    lane_of(made).take(records(*range(5), size_bytes=1000), WANTED, 0.0)
    (delivery,) = made.ready(0.0)
    assert offsets_of(delivery) == [[0, 1], [2, 3]]


def body_bytes(count: int) -> int:
    """How large the body of so many records is."""
    one = lane()
    one.take(records(*range(count)), WANTED, 0.0)
    return len(one.form_batch(count, sys.maxsize).body)


@pytest.mark.parametrize(("short_by", "taken"), [(0, 3), (1, 2)])
def test_body_has_at_most_max_batch_bytes(short_by: int, taken: int) -> None:
    made = accumulator(1, size=100, max_bytes=body_bytes(3) - short_by)
    fill(made, 0, range(3))
    (delivery,) = made.ready(5.0)
    assert [batch.records for batch in delivery.batches] == [taken]
    assert len(delivery.batches[0].body) == body_bytes(taken)


def test_batch_of_exactly_max_batch_bytes_does_not_wait() -> None:
    made = accumulator(1, size=100, max_bytes=body_bytes(3))
    fill(made, 0, range(2))
    assert made.ready(0.0) == []
    fill(made, 0, [2])
    assert [offsets_of(delivery) for delivery in made.ready(0.0)] == [[[0, 1, 2]]]


def test_all_batches_that_the_bytes_fill_leave_in_one_delivery() -> None:
    made = accumulator(1, size=100, max_bytes=body_bytes(2))
    fill(made, 0, range(5))
    assert [offsets_of(delivery) for delivery in made.ready(0.0)] == [[[0, 1], [2, 3]]]


@pytest.mark.parametrize(("short_by", "shares"), [(0, (2, 1)), (1, (2,))])
def test_mixed_body_has_at_most_max_batch_bytes(short_by: int, shares: tuple[int, ...]) -> None:
    made = accumulator(2, size=100, max_bytes=body_bytes(3) - short_by)
    fill(made, 0, range(2), now=0.0)
    fill(made, 1, range(2), now=0.1)
    first, *_ = made.ready(0.2)
    assert first.records_per_lane == shares


def test_record_that_is_larger_than_max_batch_bytes_is_sent_alone() -> None:
    made = accumulator(1, size=100, max_bytes=1000)
    lane_of(made).take([*records(0), *records(1, size_bytes=2000), *records(2)], WANTED, 0.0)
    (delivery,) = made.ready(5.0)
    assert offsets_of(delivery) == [[0], [1]]


def test_deliveries_stay_near_the_byte_bound() -> None:
    made = accumulator(1, size=1, limits=DeliveryLimits(delivery_bytes=3000, delivery_target_s=0.25))
    lane_of(made).take(records(*range(8), size_bytes=1000), WANTED, 0.0)
    (delivery,) = made.ready(0.0)
    assert len(delivery.batches) == 3


def test_first_delivery_is_small() -> None:
    made = accumulator(1, size=1)
    fill(made, 0, range(100))
    assert len(made.ready(0.0)[0].batches) == 8


def test_throughput_sizes_the_next_delivery() -> None:
    made = accumulator(1, size=1)
    fill(made, 0, range(100))
    lane_of(made).throughput.measured(8, 2.0)
    assert len(made.ready(0.0)[0].batches) == 1


def test_returned_batches_go_first_and_unchanged() -> None:
    made = accumulator(1, size=2)
    fill(made, 0, range(6))
    (delivery,) = made.ready(0.0)
    lane_of(made).delivery = None
    lane_of(made).put_back(delivery.batches[1:])
    fill(made, 0, [6, 7, 8])
    (again,) = made.ready(0.0)
    assert offsets_of(again) == [[2, 3], [4, 5], [6, 7]]


def test_returned_batches_take_no_incomplete_batch_along() -> None:
    made = accumulator(1, size=2)
    fill(made, 0, range(5))
    (delivery,) = made.ready(0.0)
    lane_of(made).delivery = None
    lane_of(made).put_back(delivery.batches[1:])
    (again,) = made.ready(0.0)
    assert offsets_of(again) == [[2, 3]]


@pytest.mark.parametrize("count", [1, 3, 30])
def test_half_open_lane_sends_one_batch(count: int) -> None:
    made = accumulator(1, size=3)
    lane_of(made).circuit.state = CircuitState.HALF_OPEN
    fill(made, 0, range(count))
    (delivery,) = made.ready(0.0)
    assert (delivery.probe, len(delivery.batches), delivery.batches[0].records) == (True, 1, min(count, 3))


def test_half_open_lane_is_not_mixed_with_others() -> None:
    made = accumulator(3, size=10)
    for number in range(3):
        fill(made, number, [number])
    lane_of(made, 1).circuit.state = CircuitState.HALF_OPEN
    probe, mixed = made.ready(5.0)
    assert [lane.partition.number for lane in probe.lanes] == [1]
    assert ([lane.partition.number for lane in mixed.lanes], mixed.probe) == ([0, 2], False)


def test_lane_with_an_open_circuit_dispatches_nothing() -> None:
    made = accumulator(1, size=1)
    fill(made, 0, [1])
    lane_of(made).circuit.state = CircuitState.OPEN
    assert (made.ready(99.0), made.due_at()) == ([], None)


def test_due_when_the_oldest_has_waited() -> None:
    made = accumulator(2, size=10, interval_s=3.0)
    fill(made, 1, [1], now=5.0)
    fill(made, 0, [1], now=6.0)
    assert made.due_at() == 8.0


def test_nothing_is_due_while_nothing_waits() -> None:
    assert accumulator(2, size=10).due_at() is None


def test_mixing_leaves_the_bytes_exact() -> None:
    made = accumulator(2, size=3)
    fill(made, 0, [1, 2])
    fill(made, 1, [1, 2])
    made.ready(0.0)
    assert [lane.buffered_bytes == sum(len(f.text) for f in lane.waiting) for lane in made.lanes.values()] == [
        True,
        True,
    ]


def test_every_delivery_has_an_id_of_its_own() -> None:
    made = accumulator(9, size=1)
    for number in range(9):
        fill(made, number, [1])
    assert len({delivery.id for delivery in made.ready(0.0)}) == 9


def test_ref_names_lanes_epochs_and_counts() -> None:
    made = accumulator(2, size=4)
    fill(made, 0, [1, 2])
    fill(made, 1, [3, 4])
    (delivery,) = made.ready(0.0)
    ref = delivery.ref("ingest-1")
    assert ref.lanes == {"orders/0": lane_of(made).epoch, "orders/1": lane_of(made, 1).epoch}
    assert (ref.records, ref.batches, ref.attempt, ref.version) == (4, 1, 0, 1)


def test_each_assignment_has_an_epoch_of_its_own() -> None:
    made = accumulator(1)
    epoch = lane_of(made).epoch
    made.close_lane(Partition(TOPIC, 0))
    assert made.open_lane(Partition(TOPIC, 0)).epoch != epoch


def test_closed_lane_drops_its_delivery() -> None:
    made = accumulator(1, size=1)
    fill(made, 0, [1])
    (delivery,) = made.ready(0.0)
    closed = made.close_lane(Partition(TOPIC, 0))
    assert closed is not None
    assert (closed.delivery, delivery.current, closed.ledger.watermark) == (None, False, 1)


def test_closing_a_lane_rewinds_no_other() -> None:
    made = accumulator(2, size=4)
    fill(made, 0, [1, 2])
    fill(made, 1, [7, 8])
    made.ready(0.0)
    made.close_lane(Partition(TOPIC, 0))
    fill(made, 1, [9])
    assert lane_of(made, 1).ledger.watermark == 7


def test_closing_an_unknown_lane_returns_none() -> None:
    assert accumulator(1).close_lane(Partition(TOPIC, 9)) is None
