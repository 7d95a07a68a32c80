"""The progress of a comparison, and its summary: the verdict first, then a row for each subscription."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from webhookd_load_test.run_folder.result import Latency, Result, SubscriptionResult

PLAIN_WIDTH = 132
MOST_ROWS = 20
"""More subscriptions than these are summed, and only the worst ones have a row of their own."""

MISSING_LINES = 20
_COLUMNS = (
    "expected",
    "delivered",
    "lost",
    "unexpected",
    "twice",
    "disorder",
    "wrong",
    "refused",
    "p50",
    "p99",
    "max",
    "stall s",
)


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
    _line(out, f"latency from append:  {_latency(result.latency)}")
    _line(out, f"latency from publish: {_latency(result.latency_from_publish)}")
    _line(out, f"throughput: {result.throughput_per_s:,.1f} deliveries/s, from the first to the last")


def _verdict(result: Result) -> str:
    if result.passed:
        return "PASSED: nothing lost, everything in order, all bounds held"
    return "PARTIAL: no verdict over an interrupted run" if result.partial else "FAILED"


def _line(out: Console, text: str) -> None:
    out.print(text, highlight=False, markup=False, soft_wrap=True)


def _table(result: Result) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD, collapse_padding=True, caption="latencies in ms, from the append to the first delivery"
    )
    table.add_column("subscription", overflow="fold")
    for column in _COLUMNS:
        table.add_column(column, justify="right", no_wrap=True)
    subscriptions = result.subscriptions
    shown = subscriptions if len(subscriptions) <= MOST_ROWS else sorted(subscriptions, key=_badness)[:MOST_ROWS]
    for one in shown:
        table.add_row(*_row(one.name, [one], one.latency), end_section=one is shown[-1])
    if len(subscriptions) > 1:
        hidden = f", {MOST_ROWS} worst above" if len(shown) < len(subscriptions) else ""
        table.add_row(*_row(f"all {len(subscriptions):,}{hidden}", subscriptions, result.latency))
    return table


def _badness(one: SubscriptionResult) -> tuple[int, int, float]:
    """Faults first, then duplicates, then the longest stall."""
    return -(one.lost + one.unexpected + one.disorders + _wrong(one)), -one.duplicates, -one.longest_stall_s


def _wrong(one: SubscriptionResult) -> int:
    return one.wrong_places + one.wrong_keys + one.wrong_values + one.invalid_signatures


def _row(name: str, of: Sequence[SubscriptionResult], latency: Latency | None) -> list[str]:
    counts = [
        sum(getattr(one, field) for one in of)
        for field in ("expected", "delivered", "lost", "unexpected", "duplicates", "disorders")
    ]
    counts += [sum(map(_wrong, of)), sum(one.refused for one in of)]
    late = [f"{value:,.0f}" for value in (latency.p50_ms, latency.p99_ms, latency.max_ms)] if latency else ["–"] * 3
    stall_s = max((one.longest_stall_s for one in of), default=0.0)
    return [name, *(f"{count:,}" for count in counts), *late, f"{stall_s:.1f}"]


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


def _latency(latency: Latency | None) -> str:
    if latency is None:
        return "no delivery"
    return (
        f"min {latency.min_ms:,.0f} ms, average {latency.average_ms:,.1f}, p50 {latency.p50_ms:,.0f}, p90 "
        f"{latency.p90_ms:,.0f}, p99 {latency.p99_ms:,.0f}, p99.9 {latency.p999_ms:,.0f}, max {latency.max_ms:,.0f}"
    )
