"""The one verifier of order. Oracle: sets and the definitions, applied to all that has arrived before. No doubles."""

from hypothesis import example, given
from hypothesis import strategies as st

from webhookd.testing.arrival_order import PAGE, Arrival, ArrivalOrder, LaneOffsets, SeenOffsets

OFFSETS = st.one_of(
    st.integers(0, 12),
    st.sampled_from([0, 7, 8, PAGE - 1, PAGE, PAGE + 1, 5 * PAGE, 2**40]),
    st.integers(0, 2**62),
)
LANES = st.sampled_from(["a", "b"])
ARRIVALS = st.lists(st.tuples(LANES, OFFSETS), max_size=60)


def expected(before: list[int], offset: int) -> Arrival:
    if offset in before:
        return Arrival.DUPLICATE
    return Arrival.OUT_OF_ORDER if before and offset < max(before) else Arrival.FIRST


@given(arrivals=ARRIVALS)
@example(arrivals=[("a", 2), ("a", 0), ("a", 1), ("a", 1), ("b", 0)])
def test_each_arrival_is_what_the_definitions_say(arrivals: list[tuple[str, int]]) -> None:
    order: ArrivalOrder[str] = ArrivalOrder()
    seen: dict[str, list[int]] = {"a": [], "b": []}
    kinds = []
    for lane, offset in arrivals:
        kinds.append(expected(seen[lane], offset))
        assert order.add(lane, offset) is kinds[-1]
        seen[lane].append(offset)
    assert order.records == len(set(arrivals))
    assert order.duplicates == kinds.count(Arrival.DUPLICATE)
    assert order.out_of_order == kinds.count(Arrival.OUT_OF_ORDER)
    assert order.seen.ends() == {lane: max(offsets) + 1 for lane, offsets in seen.items() if offsets}
    assert order.seen.missing == sum(max(own) - min(own) + 1 - len(set(own)) for own in seen.values() if own)


@given(offsets=st.lists(OFFSETS), others=st.lists(OFFSETS))
def test_a_set_of_offsets_is_a_set(offsets: list[int], others: list[int]) -> None:
    seen, other = SeenOffsets(offsets), SeenOffsets(others)
    assert seen.count == len(set(offsets))
    assert (seen.lowest, seen.highest) == ((min(offsets), max(offsets)) if offsets else (-1, -1))
    assert all((offset in seen) == (offset in offsets) for offset in [*offsets, *others])
    assert seen.minus(other) == len(set(offsets) - set(others))


@given(ours=ARRIVALS, theirs=ARRIVALS)
def test_offsets_of_lanes_are_a_set_of_pairs(ours: list[tuple[str, int]], theirs: list[tuple[str, int]]) -> None:
    mine, other = (LaneOffsets[str](), LaneOffsets[str]())
    new = [mine.add(lane, offset) for lane, offset in ours]
    for lane, offset in theirs:
        other.add(lane, offset)
    assert new == [pair not in ours[:at] for at, pair in enumerate(ours)]
    assert (len(mine), set(mine.lanes)) == (len(set(ours)), {lane for lane, _ in ours})
    assert mine.minus(other) == len(set(ours) - set(theirs))
