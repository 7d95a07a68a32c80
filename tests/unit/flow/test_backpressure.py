"""When a subscription stops reading: skip first, pause only what must be paused."""

import pytest

from tests.harness.lanes import lane
from webhookd.flow.batching.backpressure import DEAD_LETTER_LIMIT, LONGEST_SKIP_S, ReadBackpressure
from webhookd.flow.batching.circuit_breaker import CircuitState
from webhookd.flow.dispatch.delivery import Lane

BOUND = 1600


def holding(*sizes: int) -> list[Lane]:
    lanes = [lane(number) for number in range(len(sizes))]
    for one, size in zip(lanes, sizes, strict=True):
        one.buffered_bytes = size
    return lanes


def pausing(lanes: list[Lane], backpressure: ReadBackpressure | None = None) -> list[int]:
    return [one.partition.number for one in (backpressure or ReadBackpressure(BOUND)).to_pause(lanes)]


def resuming(lanes: list[Lane]) -> list[int]:
    for one in lanes:
        one.paused = True
    return [one.partition.number for one in ReadBackpressure(BOUND).to_resume(lanes)]


@pytest.mark.parametrize(
    ("sizes", "skips"),
    [((0, 0), False), ((800, 800), False), ((801, 800), True), ((1600, 100), False), ((1600, 101), True), ((), False)],
)
def test_skips_with_plenty_and_nobody_short(sizes: tuple[int, ...], skips: bool) -> None:
    assert ReadBackpressure(BOUND).skips(holding(*sizes), 5.0) is skips


def test_paused_lane_is_never_short() -> None:
    lanes = holding(1601, 0)
    lanes[1].paused = True
    assert ReadBackpressure(BOUND).skips(lanes, 5.0)


def test_skipping_ends_after_its_longest() -> None:
    backpressure, lanes = ReadBackpressure(BOUND), holding(1600, 1600)
    assert [backpressure.skips(lanes, 5.0 + s) for s in (0.0, 0.5, LONGEST_SKIP_S)] == [True, True, False]


def test_every_partition_pauses_after_skipping() -> None:
    backpressure, lanes = ReadBackpressure(BOUND), holding(1600, 1600)
    backpressure.skips(lanes, 5.0)
    backpressure.skips(lanes, 6.0)
    assert pausing(lanes, backpressure) == [0, 1]


def test_skipping_starts_anew_after_reading() -> None:
    backpressure = ReadBackpressure(BOUND)
    backpressure.skips(holding(1600), 5.0)
    backpressure.skips(holding(0), 5.5)
    assert backpressure.skips(holding(1600), 6.5)


def test_lane_above_its_bound_pauses_alone() -> None:
    assert pausing(holding(1601, 1600)) == [0]


def test_held_lane_pauses() -> None:
    lanes = holding(0, 0)
    lanes[1].circuit.state = CircuitState.OPEN
    assert pausing(lanes) == [1]


def test_too_many_dead_letters_pause() -> None:
    lanes = holding(0)
    for offset in range(DEAD_LETTER_LIMIT + 1):
        lanes[0].ledger.add_dead_letter(offset)
    assert (pausing(lanes), resuming(lanes)) == ([0], [])


def test_paused_lane_is_not_paused_again() -> None:
    lanes = holding(1601)
    lanes[0].paused = True
    assert pausing(lanes) == []


def test_lane_resumes_below_a_quarter() -> None:
    assert resuming(holding(400, 399)) == [1]


def test_held_lane_does_not_resume() -> None:
    lanes = holding(0)
    lanes[0].circuit.state = CircuitState.OPEN
    assert resuming(lanes) == []


def test_flowing_lane_needs_no_resuming() -> None:
    assert ReadBackpressure(BOUND).to_resume(holding(0)) == []
