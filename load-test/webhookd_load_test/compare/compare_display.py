"""The progress of a comparison, and its summary: the verdict first, then a row for each subscription."""

import re
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from webhookd_load_test.counted import counted
from webhookd_load_test.run_folder.result import Latency, Result, SubscriptionResult

PLAIN_WIDTH = 132
MOST_ROWS = 20
"""More subscriptions than these are summed by their names, and only some with faults have a row of their own."""

FAULTY_ROWS = 10
MISSING_LINES = 20

_SUMMED = ("expected", "delivered", "lost", "unexpected", "duplicates", "disorders")
_COLUMNS = (
    *("expected", "delivered", "lost", "unexpected", "duplicates", "out of\norder", "wrong", "refused"),
    *("p50 ms", "p99 ms", "max ms", "stall s"),
)
_CAPTION = "latencies from the append to the first delivery; those of several subscriptions: of the worst one"
_NUMBER = re.compile(r"[\s#_-]*\d+\Z")


def console() -> Console:
    """The terminal; where there is none, lines of a fixed width."""
    found = Console()
    return found if found.is_terminal else Console(width=PLAIN_WIDTH)


def show(result: Result, out: Console) -> None:
    """Print the summary."""
    _line(out, _verdict(result))
    for fault in result.faults:
        _line(out, f"  {fault}")
    out.print(_table(result))
    _missing(result.subscriptions, out)
    publish = result.publish
    _line(
        out,
        f"published: {publish.records:,} acknowledged, {publish.not_acknowledged:,} not; handed over late by "
        f"{publish.late_p50_ms:.1f} ms (p50), {publish.late_p99_ms:.1f} ms (p99), {publish.late_max_ms:.1f} ms (max)",
    )
    _uncounted(result.subscriptions, out)
    _line(out, "latencies of the run, without endpoints that fail on purpose:")
    _line(out, f"latency from append:  {_latency(result.latency)}")
    _line(out, f"latency from publish: {_latency(result.latency_from_publish)}")
    _line(out, f"throughput: {result.throughput_per_s:,.1f} deliveries/s, from the first to the last")


def _verdict(result: Result) -> str:
    if result.passed:
        return "PASSED: nothing lost, everything in order, all bounds held"
    return "PARTIAL: no verdict: the run ended early" if result.partial else "FAILED"


def _line(out: Console, text: str) -> None:
    out.print(text, highlight=False, markup=False, soft_wrap=True)


def _table(result: Result) -> Table:
    table = Table(box=box.SIMPLE_HEAD, collapse_padding=True, caption=_CAPTION)
    table.add_column("subscription", vertical="bottom", overflow="fold")
    for column in _COLUMNS:
        table.add_column(column, justify="right", vertical="bottom", no_wrap=True)
    subscriptions = result.subscriptions
    many = len(subscriptions) > MOST_ROWS
    for name, group in _groups(subscriptions) if many else [(one.name, [one]) for one in subscriptions]:
        table.add_row(*_row(name, group, [one.latency for one in group if one.latency]))
    for one in (
        sorted(filter(_fault_count, subscriptions), key=_fault_count, reverse=True)[:FAULTY_ROWS] if many else []
    ):
        table.add_row(*_row(f"with faults: {one.name}", [one], [one.latency] if one.latency else []))
    if len(subscriptions) > 1:
        table.add_row(*_row(f"all {len(subscriptions):,}", subscriptions, [result.latency] if result.latency else []))
    return table


def _groups(subscriptions: Sequence[SubscriptionResult]) -> list[tuple[str, list[SubscriptionResult]]]:
    """The subscriptions by their names without the number at their end."""
    groups: dict[str, list[SubscriptionResult]] = {}
    for one in subscriptions:
        groups.setdefault(_NUMBER.sub("", one.name), []).append(one)
    return [(f"{len(group):,} × {name}", group) for name, group in groups.items()]


def _fault_count(one: SubscriptionResult) -> int:
    return one.wrong


def _row(name: str, of: Sequence[SubscriptionResult], latencies: Sequence[Latency]) -> list[str]:
    counts = [
        *(sum(getattr(one, field) for one in of) for field in _SUMMED),
        sum(one.altered for one in of),
        sum(one.refused for one in of),
    ]
    late = [max((getattr(one, field) for one in latencies), default=None) for field in ("p50_ms", "p99_ms", "max_ms")]
    stall_s = max((one.longest_stall_s for one in of), default=0.0)
    return [
        name,
        *(f"{count:,}" for count in counts),
        *("–" if one is None else f"{one:,.0f}" for one in late),
        f"{stall_s:.1f}",
    ]


def _missing(subscriptions: Sequence[SubscriptionResult], out: Console) -> None:
    lines = [
        f"  {one.name}: record {record.number}, {record.topic}[{record.partition}] offset "
        f"{'not known' if record.offset is None else record.offset}"
        for one in subscriptions
        for record in one.missing
    ]
    if not lines:
        return
    _line(out, "missing:")
    for line in lines[:MISSING_LINES]:
        _line(out, line)
    more = sum(one.lost for one in subscriptions) - len(lines[:MISSING_LINES])
    if more:
        _line(out, f"  and {more:,} more; result.json lists the first of each subscription")


def _uncounted(subscriptions: Sequence[SubscriptionResult], out: Console) -> None:
    """What is neither expected nor a fault, if there is any."""
    undecided, unacknowledged = (
        sum(getattr(one, field) for one in subscriptions) for field in ("undecided", "unacknowledged")
    )
    if undecided:
        _line(
            out, f"undecided: {counted(undecided, 'record')}, not JSON or not judged by a filter: not to be delivered"
        )
    if unacknowledged:
        _line(out, f"delivered though Kafka had not acknowledged: {counted(unacknowledged, 'record')}")


def _latency(latency: Latency | None) -> str:
    if latency is None:
        return "no delivery"
    return (
        f"min {latency.min_ms:,.0f} ms, average {latency.average_ms:,.1f}, p50 {latency.p50_ms:,.0f}, p90 "
        f"{latency.p90_ms:,.0f}, p99 {latency.p99_ms:,.0f}, p99.9 {latency.p999_ms:,.0f}, max {latency.max_ms:,.0f}"
    )
