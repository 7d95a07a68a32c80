"""The tables of a report: cells are texts, ready to be shown."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from webhookd_load_test.report import number_format
from webhookd_load_test.report.event_marks import Mark
from webhookd_load_test.report.run_data import RunData
from webhookd_load_test.run_folder.result import Latency, Result, SubscriptionResult

SHOWN = 20
"""How many subscriptions a table shows, the worst first."""

LISTED = 100
"""How many records a list of missing or disordered ones shows, of all subscriptions together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """`texts` are the first columns that are not numbers; `wrong` rows are why the run failed.

    The first column of a `numbered` one is the number of the row.
    """

    title: str
    columns: list[str]
    rows: list[list[str]]
    texts: int = 1
    wrong: frozenset[int] = frozenset()
    about: str = ""
    foot: list[str] = field(default_factory=list)
    numbered: bool = False

    @property
    def pairs(self) -> bool:
        """Whether it has two columns, so that two such tables fit beside each other."""
        return len(self.columns) == 2


def result_tables(result: Result) -> list[Table]:
    """Subscriptions, latency and stalls."""
    return [_subscriptions(result), _latency(result), _stalls(result)]


def _subscriptions(result: Result) -> Table:
    shown = _worst(result, badness)
    columns = ["Subscription", "Expected", "Delivered", "Lost", "Duplicates", "Order violations", "Unexpected"]
    return Table(
        title="Subscriptions",
        about=_selection(result, "the ones with faults, then those with most duplicates and highest p99"),
        columns=[*columns, "Invalid signatures"],
        rows=[[one.name, *map(number_format.count, _counts(one))] for one in shown],
        wrong=frozenset(row for row, one in enumerate(shown) if is_wrong(one)),
        foot=["All", *(number_format.count(sum(of)) for of in zip(*map(_counts, result.subscriptions), strict=True))]
        if len(result.subscriptions) > 1
        else [],
    )


def _counts(one: SubscriptionResult) -> tuple[int, ...]:
    return (
        one.expected,
        one.delivered,
        one.lost,
        one.duplicates,
        one.disorders,
        one.unexpected,
        one.invalid_signatures,
    )


def is_wrong(one: SubscriptionResult) -> bool:
    """Whether something happened to the subscription that must not."""
    return bool(one.lost or one.disorders or one.unexpected or one.invalid_signatures)


def badness(one: SubscriptionResult) -> tuple[int, int, int, int, float]:
    """What orders subscriptions, worst last."""
    p99_ms = one.latency.p99_ms if one.latency else 0.0
    return one.lost, one.disorders, one.unexpected + one.invalid_signatures, one.duplicates, p99_ms


def _latency(result: Result) -> Table:
    def slowness(one: SubscriptionResult) -> float:
        return one.latency.p99_ms if one.latency else -1.0

    return Table(
        title="Latency",
        about="From the append of a record in Kafka to its first delivery. The last row is without endpoints that "
        "fail on purpose. " + _selection(result, "the highest p99"),
        columns=["Subscription", "Least", "Average", "p50", "p90", "p99", "p99.9", "Greatest"],
        rows=[[one.name, *_latency_cells(one.latency)] for one in _worst(result, slowness)],
        foot=["All", *_latency_cells(result.latency)] if len(result.subscriptions) > 1 else [],
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


def missing_table(result: Result) -> Table | None:
    """The records that did not arrive; None when all did."""
    rows = [
        [one.name, lost.topic, *_place(lost.partition, lost.offset), number_format.count(lost.number)]
        for one in result.subscriptions
        for lost in one.missing
    ]
    columns = ["Subscription", "Topic", "Partition", "Offset", "Record"]
    return _listed("What is missing", columns, rows, sum(one.lost for one in result.subscriptions))


def disorder_table(result: Result) -> Table | None:
    """The records that arrived after later ones; None without any."""
    rows = [
        [one.name, late.topic, late.by, *_place(late.partition, late.offset), number_format.count(late.after_offset)]
        for one in result.subscriptions
        for late in one.disorder
    ]
    columns = ["Subscription", "Topic", "Order of", "Partition", "Offset", "Came after"]
    total = sum(one.disorders for one in result.subscriptions)
    return _listed("What came after a later record", columns, rows, total, texts=3)


def _listed(title: str, columns: list[str], rows: list[list[str]], total: int, *, texts: int = 2) -> Table | None:
    if not rows:
        return None
    shown = rows[:LISTED]
    about = f"The first {len(shown):,} of {total:,}." if total > len(shown) else ""
    return Table(title=title, columns=columns, rows=shown, texts=texts, about=about)


def _place(partition: int, offset: int | None) -> tuple[str, str]:
    return str(partition), number_format.count(offset)


def event_table(marks: Sequence[Mark]) -> Table | None:
    """The events with their times; None without any."""
    if not marks:
        return None
    rows = [
        [str(mark.number), mark.kind, mark.text, f"{number_format.plain(mark.at_s)} s", _took(mark)] for mark in marks
    ]
    return Table(title="Events", columns=["No.", "Kind", "Event", "At", "Took"], rows=rows, texts=3, numbered=True)


def _took(mark: Mark) -> str:
    took_s = mark.until_s - mark.at_s
    return number_format.seconds(took_s) if took_s > 0 else number_format.UNKNOWN


def publish_table(result: Result) -> Table:
    """How well the producer kept to its times."""
    publish = result.publish
    return Table(
        title="Producer",
        about="Late is how long after its time in the file a record was handed to the producer.",
        columns=["Figure", "Value"],
        rows=[
            ["Records acknowledged", number_format.count(publish.records)],
            ["Not acknowledged", number_format.count(publish.not_acknowledged)],
            ["Late, p50", number_format.milliseconds(publish.late_p50_ms)],
            ["Late, p99", number_format.milliseconds(publish.late_p99_ms)],
            ["Late, at most", number_format.milliseconds(publish.late_max_ms)],
        ],
    )


def named_values(title: str, values: Mapping[str, str], about: str = "") -> Table | None:
    """A table of names and texts; None without any."""
    if not values:
        return None
    return Table(title=title, columns=["Name", "Value"], rows=[[*one] for one in values.items()], texts=2, about=about)


def fact_tables(data: RunData) -> list[Table]:
    """Settings, topics, versions and the machine, as far as they are known."""
    facts = data.facts
    if facts is None:
        return []
    partitions = {topic: number_format.of(number, "partition") for topic, number in facts.partitions.items()}
    found = (
        named_values("Settings", facts.settings),
        named_values("Topics", partitions),
        named_values("Versions", facts.versions),
        named_values("Machine", facts.machine),
    )
    return [table for table in found if table is not None]
