"""Lanes and deliveries are counted by their state, each once."""

from collections.abc import Mapping
from math import inf

from tests.harness.deliveries_in_flight import scene
from tests.harness.lanes import WANTED, Record, accumulator, fill, lane, records
from webhookd.flow.attempt.attempt_report import ReportKind
from webhookd.flow.dispatch.accumulator import BatchAccumulator
from webhookd.flow.monitoring.lane_states import (
    BUFFER_FULL,
    CIRCUIT_OPEN,
    IDLE,
    IN_FLIGHT,
    WAITING,
    LaneCounts,
    state_of,
)


def counts(of: BatchAccumulator, now: float = 1.0) -> LaneCounts:
    """The counts of all lanes."""
    made = LaneCounts()
    for one in of.lanes.values():
        made.add(one, now)
    return made


def counted(numbers: Mapping[str, int]) -> dict[str, int]:
    """Those that are not 0."""
    return {name: number for name, number in numbers.items() if number}


def test_lane_without_records_is_idle() -> None:
    assert state_of(lane()) == IDLE


def test_lane_with_records_waits() -> None:
    one = lane()
    one.take(records(0), WANTED, 0.0)
    assert state_of(one) == WAITING


def test_lane_with_a_delivery_is_in_flight() -> None:
    assert state_of(scene().lane) == IN_FLIGHT


def test_paused_lane_is_full_although_it_has_a_delivery() -> None:
    made = scene()
    made.lane.paused = True
    assert state_of(made.lane) == BUFFER_FULL


def test_open_circuit_comes_first() -> None:
    one = lane()
    one.circuit.open(inf)
    one.paused = True
    assert state_of(one) == CIRCUIT_OPEN


def test_mixed_delivery_counts_once() -> None:
    made = scene(lanes=3, size=100)
    found = counts(made.accumulator)
    assert counted(found.deliveries) == {"queued": 1}
    assert counted(found.lanes) == {IN_FLIGHT: 3}


def test_retry_is_due_after_its_countdown() -> None:
    made = scene()
    made.report(ReportKind.STARTED)
    made.report(ReportKind.RETRY, now=1.0, wait_s=5.0)
    assert counts(made.accumulator, 5.9).retries_due == 0
    assert counts(made.accumulator, 6.0).retries_due == 1
    assert counted(counts(made.accumulator, 6.0).deliveries) == {"retrying": 1}


def test_claimed_delivery_is_no_retry_that_is_due() -> None:
    made = scene()
    made.report(ReportKind.STARTED)
    found = counts(made.accumulator, 100.0)
    assert (counted(found.deliveries), found.retries_due) == ({"claimed": 1}, 0)


def test_returned_records_wait_again() -> None:
    made = scene(records=4)
    made.report(ReportKind.RETRY, done=1)
    assert counts(made.accumulator).records_waiting == 2


def test_waiting_records_and_dead_letters_take_bytes() -> None:
    made = accumulator(2, size=100)
    fill(made, 0, range(3))
    one = next(iter(made.lanes.values()))
    _, (dead_letter,) = one.take([Record(9, b'"bad"')], WANTED, 0.0)
    found = counts(made)
    assert found.records_waiting == 3
    assert found.buffered_bytes == one.buffered_bytes + dead_letter.size_bytes
    assert one.buffered_bytes > 0
