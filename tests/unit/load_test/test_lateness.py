"""Percentiles of how late records were. Oracle: the values themselves, sorted."""

import random

import pytest

from webhookd_load_test.records.lateness import Lateness


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99, 1.0])
def test_percentiles_are_those_of_all_values(share: float) -> None:
    late, chance = Lateness(), random.Random(1)  # noqa: S311  # seeded on purpose
    values = [chance.expovariate(1 / 30) for _ in range(2000)]
    for value in values:
        late.add(value)
    assert late.percentile_ms(share) == pytest.approx(sorted(values)[int(share * 2000) - 1], rel=0.021)
    assert late.max_ms == max(values)


def test_without_values_all_is_zero() -> None:
    late = Lateness()
    assert (late.percentile_ms(0.5), late.max_ms, late.last_ms) == (0.0, 0.0, 0.0)


def test_early_is_not_late() -> None:
    late = Lateness()
    late.add(-5.0)
    assert (late.percentile_ms(0.99), late.max_ms, late.last_ms) == (0.0, 0.0, 0.0)


def test_memory_does_not_grow_with_the_values() -> None:
    late = Lateness()
    for number in range(20_000):
        late.add(number)
    assert len(late._classes) < 1000
