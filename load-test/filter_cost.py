"""What matching a record costs, beside `json.loads` and `jmespath` in the same run on the same record.

    python load-test/filter_cost.py

Ratios carry over between machines, microseconds do not. The best of several rounds is taken, so that a neighbour's
load does not count.
"""

import json
import timeit
from collections.abc import Callable

import jmespath

from webhookd.flow.filters.matcher import Matcher

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


def cost_s(call: Callable[[], object]) -> float:
    """Seconds that one call takes, undisturbed."""
    return min(timeit.repeat(call, number=CALLS, repeat=ROUNDS)) / CALLS


def reference_cost_s(expressions: tuple[str, ...]) -> float:
    """What the same answer costs with `json.loads` and the library."""
    compiled = [jmespath.compile(expression) for expression in expressions]

    def search() -> None:
        record = json.loads(RECORD)
        for one in compiled:
            one.search(record)

    return cost_s(search)


def main() -> None:
    """Print the table."""
    unit_s = cost_s(lambda: json.loads(RECORD))
    print(f"record of {len(RECORD)} bytes; json.loads alone takes {unit_s * 1e6:.2f} µs = 1.00")
    print(f"{'case':34}{'matcher µs':>11}{'/ loads':>9}{'loads + jmespath / matcher':>28}")
    for name, expressions in CASES.items():
        matcher = Matcher(expressions)
        taken_s = cost_s(lambda: matcher.matches(RECORD))  # noqa: B023 - called within this turn only
        ratio = reference_cost_s(expressions) / taken_s
        print(f"{name:34}{taken_s * 1e6:11.2f}{taken_s / unit_s:9.2f}{ratio:28.1f}")


if __name__ == "__main__":
    main()
