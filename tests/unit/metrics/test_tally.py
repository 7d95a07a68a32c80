"""A tally that takes many values at once has the same buckets as one that takes them one by one."""

import pytest

from webhookd.metrics.catalogue.worker import ATTEMPT_DURATION
from webhookd.metrics.samples import HistogramValue
from webhookd.metrics.tally import HistogramTally

BOUNDS = ATTEMPT_DURATION.buckets


def value_of(tally: HistogramTally) -> HistogramValue:
    (sample,) = tally.samples()
    assert isinstance(sample.value, HistogramValue)
    return sample.value


@pytest.mark.parametrize(
    "values",
    [
        [],
        [0.0],
        list(BOUNDS),  # a value that is a bound belongs to its bucket
        [1000.0, 2000.0],
        [0.0004] * 500 + [70.0],
        [1e-5 * 1.06**number for number in range(300)],
    ],
)
def test_many_values_at_once_fall_into_the_same_buckets(values: list[float]) -> None:
    at_once, one_by_one = HistogramTally(ATTEMPT_DURATION), HistogramTally(ATTEMPT_DURATION)
    for value in values:
        one_by_one.observe(value)
    at_once.observe_all(list(values))
    assert value_of(at_once).counts == value_of(one_by_one).counts
    assert value_of(at_once).total == pytest.approx(sum(values))


def test_values_add_up() -> None:
    tally = HistogramTally(ATTEMPT_DURATION)
    tally.observe_all([0.002, 0.0005])
    tally.observe_all([0.002])
    counts, total = value_of(tally)
    assert (counts[0], counts[1], sum(counts)) == (1, 2, 3)
    assert total == pytest.approx(0.0045)
