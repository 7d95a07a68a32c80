"""When a subscription stops reading: polls are skipped first, and only what must be paused is paused."""

import pytest

from tests.harness.lanes import lane
from webhookd.flow.batching.backpressure import (
    DEAD_LETTER_LIMIT,
    LONGEST_SKIP_S,
    UNVERIFIED_LANE_BYTES,
    ReadBackpressure,
    lane_bound,
)
from webhookd.flow.batching.circuit_breaker import CircuitState
from webhookd.flow.dispatch.delivery import Lane

BOUND = 1600


def buffering(*sizes: int) -> list[Lane]:
    lanes = [lane(number) for number in range(len(sizes))]
    for one, size in zip(lanes, sizes, strict=True):
        one.buffered_bytes = size
    return lanes


def to_pause(lanes: list[Lane], backpressure: ReadBackpressure | None = None) -> list[int]:
    return [one.partition.number for one in (backpressure or ReadBackpressure(BOUND)).to_pause(lanes, polled=True)]


def to_resume(lanes: list[Lane]) -> list[int]:
    for one in lanes:
        one.paused = True
    return [one.partition.number for one in ReadBackpressure(BOUND).to_resume(lanes)]


@pytest.mark.parametrize(
    ("sizes", "skips"),
    [((0, 0), False), ((800, 800), False), ((801, 800), True), ((1600, 100), False), ((1600, 101), True), ((), False)],
)
def test_skips_with_plenty_and_no_lane_low_on_records(sizes: tuple[int, ...], skips: bool) -> None:
    assert ReadBackpressure(BOUND).skips(buffering(*sizes), 5.0) is skips


def test_paused_lane_is_never_low_on_records() -> None:
    lanes = buffering(1601, 0)
    lanes[1].paused = True
    assert ReadBackpressure(BOUND).skips(lanes, 5.0)


def test_skipping_ends_after_a_second() -> None:
    backpressure, lanes = ReadBackpressure(BOUND), buffering(1600, 1600)
    assert [backpressure.skips(lanes, 5.0 + s) for s in (0.0, 0.5, LONGEST_SKIP_S)] == [True, True, False]


def test_every_partition_pauses_after_skipping() -> None:
    backpressure, lanes = ReadBackpressure(BOUND), buffering(1600, 1600)
    backpressure.skips(lanes, 5.0)
    backpressure.skips(lanes, 6.0)
    assert to_pause(lanes, backpressure) == [0, 1]


def test_skipping_starts_anew_after_reading() -> None:
    backpressure = ReadBackpressure(BOUND)
    backpressure.skips(buffering(1600), 5.0)
    backpressure.skips(buffering(0), 5.5)
    assert backpressure.skips(buffering(1600), 6.5)


def test_lane_above_its_bound_pauses_alone() -> None:
    assert to_pause(buffering(1601, 1600)) == [0]


def test_lane_with_an_open_circuit_pauses() -> None:
    lanes = buffering(0, 0)
    lanes[1].circuit.state = CircuitState.OPEN
    assert to_pause(lanes) == [1]


def test_too_many_dead_letters_pause() -> None:
    lanes = buffering(0)
    for offset in range(DEAD_LETTER_LIMIT + 1):
        lanes[0].ledger.add_dead_letter(offset)
    assert (to_pause(lanes), to_resume(lanes)) == ([0], [])


def test_paused_lane_is_not_paused_again() -> None:
    lanes = buffering(1601)
    lanes[0].paused = True
    assert to_pause(lanes) == []


def test_lane_resumes_below_a_quarter() -> None:
    assert to_resume(buffering(400, 399)) == [1]


def test_lane_with_an_open_circuit_does_not_resume() -> None:
    lanes = buffering(0)
    lanes[0].circuit.state = CircuitState.OPEN
    assert to_resume(lanes) == []


def test_lane_that_reads_is_not_resumed() -> None:
    assert ReadBackpressure(BOUND).to_resume(buffering(0)) == []


@pytest.mark.parametrize(
    ("lane_bytes", "unverified", "bound"),
    [
        (2 * UNVERIFIED_LANE_BYTES, False, 2 * UNVERIFIED_LANE_BYTES),
        (2 * UNVERIFIED_LANE_BYTES, True, UNVERIFIED_LANE_BYTES),
        (BOUND, True, BOUND),
    ],
)
def test_lane_buffers_little_before_the_consent(lane_bytes: int, unverified: bool, bound: int) -> None:
    assert lane_bound(lane_bytes, unverified=unverified) == bound
