"""What each subscription got, how late, and where it stood still."""

from collections.abc import Callable, Iterator

from webhookd_load_test.report import number_format
from webhookd_load_test.report.table import Table
from webhookd_load_test.run_folder.result import Latency, Result, SubscriptionResult

SHOWN = 20
"""How many subscriptions a table shows, the worst first."""

COUNTS = {
    "Expected": "expected",
    "Delivered": "delivered",
    "Lost": "lost",
    "Duplicates": "duplicates",
    "Out of order": "disorders",
    "Unexpected": "unexpected",
    "Wrong": "altered",
    "Refused": "refused",
}
"""The columns of the table of subscriptions, with the fields that they show."""

LATENCIES = ("Min", "Average", "p50", "p90", "p99", "p99.9", "Max")


def result_tables(result: Result) -> list[Table]:
    """Subscriptions, latency and stalls."""
    return [_subscriptions(result), _latency(result), _latency_of_the_run(result), _stalls(result)]


def _subscriptions(result: Result) -> Table:
    shown = _worst(result, _fault_count)
    total = [sum(of) for of in zip(*map(_counts, result.subscriptions), strict=True)]
    return Table(
        title="Subscriptions",
        about=_selection(result, "the ones with faults, then those with most duplicates and highest p99")
        + " Wrong are deliveries with another place, key or value than was published, and requests with an invalid "
        "signature. Refused are requests that the endpoint did not answer with 2xx.",
        columns=["Subscription", *COUNTS],
        rows=[[one.name, *map(number_format.count, _counts(one))] for one in shown],
        wrong=frozenset(row for row, one in enumerate(shown) if one.wrong),
        foot=["All", *map(number_format.count, total)] if len(result.subscriptions) > 1 else [],
    )


def _counts(one: SubscriptionResult) -> list[int]:
    return [getattr(one, field) for field in COUNTS.values()]


def _fault_count(one: SubscriptionResult) -> tuple[int, int, int, int, float]:
    """What orders subscriptions, the worst last: lost records weigh more than any number of other faults."""
    p99_ms = one.latency.p99_ms if one.latency else 0.0
    return one.lost, one.disorders, one.wrong, one.duplicates, p99_ms


def _latency(result: Result) -> Table:
    def slowness(one: SubscriptionResult) -> float:
        return one.latency.p99_ms if one.latency else -1.0

    return Table(
        title="Latency of each subscription",
        about="From the append of a record in Kafka to its first delivery. " + _selection(result, "the highest p99"),
        columns=["Subscription", *LATENCIES],
        rows=[[one.name, *_latency_cells(one.latency)] for one in _worst(result, slowness)],
    )


def _latency_of_the_run(result: Result) -> Table:
    return Table(
        title="Latency of the run",
        about="To the first delivery, of all subscriptions without those whose endpoint fails on purpose. From publish "
        "is from the moment at which the record was handed to the producer.",
        columns=["From", *LATENCIES],
        rows=[
            ["append", *_latency_cells(result.latency)],
            ["publish", *_latency_cells(result.latency_from_publish)],
        ],
    )


def _latency_cells(latency: Latency | None) -> Iterator[str]:
    for name in ("min", "average", "p50", "p90", "p99", "p999", "max"):
        yield number_format.milliseconds(getattr(latency, f"{name}_ms") if latency else None)


def _stalls(result: Result) -> Table:
    return Table(
        title="Longest stalls",
        about="The longest time in which a lane (a partition) had a record and none arrived. "
        + _selection(result, "the longest"),
        columns=["Subscription", "Lane", "Stall"],
        rows=[
            [one.name, one.longest_stall_lane or number_format.UNKNOWN, number_format.seconds(one.longest_stall_s)]
            for one in _worst(result, lambda one: one.longest_stall_s)
        ],
        texts=2,
    )


def _worst(result: Result, key: Callable[[SubscriptionResult], float | tuple[float, ...]]) -> list[SubscriptionResult]:
    return sorted(result.subscriptions, key=key, reverse=True)[:SHOWN]


def _selection(result: Result, first: str) -> str:
    number = len(result.subscriptions)
    if number <= 1:
        return ""
    shown = f"{SHOWN} of {number:,} subscriptions" if number > SHOWN else "Worst first"
    return f"{shown}: {first}." + (" result.json has all." if number > SHOWN else "")
