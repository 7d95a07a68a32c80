"""The command `filter-cost`: the cost of matching a record. The budget of filters and their costs are set by it."""

import contextlib
import json
import time
import timeit
from collections.abc import Callable

import click
import jmespath

from webhookd.errors import FilterFault
from webhookd.flow.filters.matcher import Matcher
from webhookd_load_test.benchmarks.rig.command_end import end_with

ROUNDS = 15
CALLS = 4000

RECORD = json.dumps(
    {
        "id": "0192f3c1-7f0e-7c3a-9d5e-2f1b8a6c4d3e",
        "type": "order.created",
        "created_at": "2026-11-24T01:59:00Z",
        "customer": {"id": 48213, "country": "NL", "tier": "gold"},
        "total": 149.95,
        "currency": "EUR",
        "items": [{"sku": "A-1", "quantity": 2}, {"sku": "B-7", "quantity": 1}],
        "paid": True,
    }
).encode()

CASES = {
    "no filter (validates only)": (),
    "equality that holds": ("type == 'order.created'",),
    "equality that does not": ("type == 'order.cancelled'",),
    "equality and comparison, nested": ("customer.country == 'NL' && total > `100`",),
    "three filters": ("type == 'order.created'", "customer.tier == 'gold'", "paid"),
    "one of five": ("contains(['a', 'b', 'c', 'd', 'order.created'], type)",),
    "prefix": ("starts_with(type, 'order.')",),
    "projection": ("items[?sku == 'B-7' && quantity > `0`]",),
    "whole record": ("length(keys(@)) > `5`",),
}


LARGE_BYTES = 1_000_000

ELEMENTS = {
    "one-digit numbers": "1",
    "empty objects": "{}",
    "short strings": '"ab"',
    "order lines": '{"sku":"A-1","quantity":2,"price":{"amount":12.5,"currency":"EUR"},"tags":["a","b"]}',
}

ORDINARY = ("items[?@ == 'x']", "items[?length(to_array(@)) > `1`]", "items[?type(@) == 'x' || @ == 'y']")

HOSTILE = (
    "[" + ",".join(["items == items"] * 60) + "]",
    "items[*].join('x', ['a', 'b'])",
    "items[?to_number('x')]",
    "map(&map(&@, [@, @]), items)",
    "max_by(items, &to_string(@))",
    " | ".join(["items", *["[*].{a: @}"] * 20]),
    " | ".join(["items", *["[@, @][]"] * 20]),
    "[" + ",".join(["to_string(items)"] * 60) + "]",
    " | ".join(["items", *["sort_by(@, &to_string(@))"] * 20]),
)


def cost_s(call: Callable[[], object]) -> float:
    """Seconds of one call: the best of all rounds."""
    return min(timeit.repeat(call, number=CALLS, repeat=ROUNDS)) / CALLS


def reference_cost_s(expressions: tuple[str, ...]) -> float:
    """Seconds of the same match with `json.loads` and the jmespath library."""
    compiled = [jmespath.compile(expression) for expression in expressions]

    def search() -> None:
        record = json.loads(RECORD)
        for one in compiled:
            one.search(record)

    return cost_s(search)


def once_s(expression: str, value: bytes) -> float:
    """Processor seconds of matching the record once, also when the filter fails."""
    matcher = Matcher([expression])
    began = time.process_time()
    with contextlib.suppress(FilterFault):
        matcher.matches(value)
    return time.process_time() - began


def print_large() -> None:
    """Print the slowest ordinary and the slowest hostile filter, for each kind of element."""
    click.echo(f"\nrecord of {LARGE_BYTES} bytes, all an array of{'':10}{'ordinary ms':>12}{'hostile ms':>12}")
    for name, element in ELEMENTS.items():
        count = LARGE_BYTES // (len(element) + 1)
        value = b'{"items":[' + ",".join([element] * count).encode() + b"]}"
        ordinary = max(min(once_s(one, value) for _ in range(3)) for one in ORDINARY)
        hostile = max(min(once_s(one, value) for _ in range(3)) for one in HOSTILE)
        click.echo(f"{name:42}{ordinary * 1e3:12.0f}{hostile * 1e3:12.0f}")


@click.command()
def filter_cost() -> None:
    """Measure the cost of matching a record, compared with json.loads and jmespath on the same record.

    It also measures the processor time of records of 1 MB: with an ordinary filter, and with a hostile filter until its
    budget is used up. The budget and costs in webhookd/flow/filters are set by these numbers.

    Ratios are comparable between machines, microseconds are not. The best of several rounds counts, so that other load
    on the machine does not matter.
    """
    end_with(_print_tables)


def _print_tables() -> int:
    unit_s = cost_s(lambda: json.loads(RECORD))
    click.echo(f"record of {len(RECORD)} bytes; json.loads alone takes {unit_s * 1e6:.2f} µs = 1.00")
    click.echo(f"{'case':34}{'matcher µs':>11}{'/ loads':>9}{'loads + jmespath / matcher':>28}")
    for name, expressions in CASES.items():
        matcher = Matcher(expressions)
        taken_s = cost_s(lambda: matcher.matches(RECORD))  # noqa: B023 - called within this iteration only
        ratio = reference_cost_s(expressions) / taken_s
        click.echo(f"{name:34}{taken_s * 1e6:11.2f}{taken_s / unit_s:9.2f}{ratio:28.1f}")
    print_large()
    return 0
