"""How many batches a delivery holds: the estimate falls quickly, and its growth is bounded."""

from webhookd.flow.batching.throughput import ThroughputEstimate

TARGET_S = 0.25


def test_first_delivery_has_a_fixed_size() -> None:
    assert ThroughputEstimate(TARGET_S).batches_per_delivery() == 8


def test_steady_endpoint_gets_the_target_time() -> None:
    throughput = ThroughputEstimate(TARGET_S)
    for _ in range(10):
        throughput.measured(throughput.batches_per_delivery(), throughput.batches_per_delivery() / 1000)
    assert throughput.batches_per_delivery() == 250


def test_growth_is_bounded() -> None:
    throughput = ThroughputEstimate(TARGET_S)
    throughput.measured(8, 1e-6)
    assert throughput.batches_per_delivery() == 64


def test_sudden_slowness_counts_at_once() -> None:
    throughput = ThroughputEstimate(TARGET_S)
    throughput.measured(8, 8.0)
    assert throughput.batches_per_delivery() == 1


def test_small_slowness_is_smoothed() -> None:
    throughput = ThroughputEstimate(TARGET_S)
    throughput.measured(8, 0.5)
    assert throughput.batches_per_delivery() == 6


def test_few_batches_do_not_raise_the_estimate() -> None:
    throughput = ThroughputEstimate(TARGET_S)
    throughput.measured(3, 1e-3)
    assert throughput.batches_per_delivery() == 8


def test_slowest_endpoint_still_gets_one() -> None:
    throughput = ThroughputEstimate(TARGET_S)
    throughput.measured(1, 3600.0)
    assert throughput.batches_per_delivery() == 1


def test_slow_lane_recovers() -> None:
    throughput = ThroughputEstimate(TARGET_S)
    throughput.measured(8, 80.0)
    for _ in range(10):
        throughput.measured(throughput.batches_per_delivery(), throughput.batches_per_delivery() / 1000)
    assert throughput.batches_per_delivery() == 250


def test_measurements_of_nothing_are_ignored() -> None:
    throughput = ThroughputEstimate(TARGET_S)
    throughput.measured(0, 1.0)
    throughput.measured(5, 0.0)
    assert throughput.batches_per_delivery() == 8
