"""Which deliveries are traced: the table of flow/dispatch/trace_sampling.py."""

import pytest

from tests.harness.lanes import WANTED, Record, accumulator, lane_of
from tests.harness.spans import PARENT, UNSAMPLED
from webhookd.flow.dispatch.delivery import Delivery
from webhookd.flow.dispatch.trace_sampling import TraceSampling

ALSO_RANDOM = f"{PARENT[:-2]}03"


def delivery(*parents: str) -> Delivery:
    """A delivery of records with these traceparents; none for an empty one."""
    made = accumulator(size=len(parents))
    pairs = [(("traceparent", parent.encode()),) if parent else () for parent in parents]
    lane_of(made).take([Record(at, pairs=pair) for at, pair in enumerate(pairs)], WANTED, 0.0)
    (formed,) = made.ready(99.0)
    return formed


@pytest.mark.parametrize(
    ("ratio", "parents", "sampled"),
    [
        (0.0, [PARENT], True),
        (0.0, [ALSO_RANDOM], True),
        (1.0, [UNSAMPLED], False),
        (1.0, [UNSAMPLED, PARENT], False),
        (0.0, ["", PARENT], False),
        (1.0, ["", UNSAMPLED], True),
        (0.0, ["not valid"], False),
        (1.0, ["not valid"], True),
        (0.51, [""], True),
        (0.5, [""], False),
    ],
)
def test_first_records_flag_decides_before_the_ratio(ratio: float, parents: list[str], *, sampled: bool) -> None:
    sampling = TraceSampling(ratio=ratio, parent_based=True, chance=lambda: 0.5)
    assert sampling.samples(delivery(*parents)) is sampled


@pytest.mark.parametrize(("ratio", "sampled"), [(0.0, False), (0.5, False), (0.51, True), (1.0, True)])
@pytest.mark.parametrize("parent", [PARENT, UNSAMPLED, ""])
def test_ratio_alone_decides_if_it_is_to(ratio: float, parent: str, *, sampled: bool) -> None:
    sampling = TraceSampling(ratio=ratio, parent_based=False, chance=lambda: 0.5)
    assert sampling.samples(delivery(parent)) is sampled


def test_nothing_is_sampled_at_the_ratio_0_and_all_at_1() -> None:
    lowest = TraceSampling(ratio=0.0, parent_based=True, chance=lambda: 0.0)
    highest = TraceSampling(ratio=1.0, parent_based=True, chance=lambda: 0.999999)
    assert (lowest.samples(delivery("")), highest.samples(delivery(""))) == (False, True)
