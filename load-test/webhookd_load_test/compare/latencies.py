"""Exact percentiles of many latencies, in whole milliseconds: the time of an append is no finer."""

from array import array
from collections import Counter
from collections.abc import Iterable

from webhookd_load_test.run_folder.result import Latency

LONGEST_MS = 2**32 - 1
"""A latency takes four bytes. A longer one, of 49 days, counts as this."""


def samples() -> "array[int]":
    """An empty list of latencies, in milliseconds."""
    return array("I")


def between_ms(begin_ms: int, end_ms: int) -> int:
    """The latency to add; an end before the begin, which clocks of 1 ms can show, counts as 0."""
    return min(max(end_ms - begin_ms, 0), LONGEST_MS)


def percentile(counted: Iterable[tuple[int, int]], rank: int) -> int:
    """The value of this rank, from 1, among (value, count) in ascending order."""
    for value, count in counted:
        rank -= count
        if rank <= 0:
            return value
    raise ValueError("a rank above the count")


def nearest_rank(count: int, permille: int) -> int:
    """The rank of a percentile: at least this share of the values are as low or lower."""
    return max(1, -(-count * permille // 1000))


def latency_of(lists: Iterable["array[int]"]) -> Latency | None:
    """The figures of all latencies in the lists; None when there are none."""
    counts: Counter[int] = Counter()
    for one in lists:
        counts.update(one)
    if not counts:
        return None
    ordered, total = sorted(counts.items()), counts.total()
    p50, p90, p99, p999 = (
        float(percentile(ordered, nearest_rank(total, permille))) for permille in (500, 900, 990, 999)
    )
    return Latency(
        min_ms=ordered[0][0],
        average_ms=sum(value * count for value, count in ordered) / total,
        max_ms=ordered[-1][0],
        p50_ms=p50,
        p90_ms=p90,
        p99_ms=p99,
        p999_ms=p999,
    )
