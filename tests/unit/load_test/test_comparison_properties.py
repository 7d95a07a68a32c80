"""The comparison says of any run what a naive one says that holds everything in memory.

Oracle: `naive`, which follows the definitions word by word; Python's `statistics` for the latencies.
"""

import statistics
import tempfile
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.load_test.run_files import BEGAN_NS, MS, Got, Run, Sent, got, order, wants
from webhookd_load_test.compare import comparison
from webhookd_load_test.run_folder.facts import RunSubscription
from webhookd_load_test.run_folder.result import Latency, SubscriptionResult

SUBSCRIPTIONS = [
    RunSubscription(id="s-1", name="a", path="/a", topics=["t"]),
    RunSubscription(id="s-2", name="b", path="/b", topics=["t", "u"], filters=["order < `6`"]),
    RunSubscription(id="s-3", name="c", path="/c", topics=["u"], filters=["status == 'paid'", "order > `1`"]),
]

PERMILLE = {"p50_ms": 500, "p90_ms": 900, "p99_ms": 990, "p999_ms": 999}


@st.composite
def runs(draw: st.DrawFn) -> Run:
    """Records with acknowledgements in their order; deliveries of any of them, anywhere, at any time and status."""
    sent: list[Sent] = []
    at_ms = 0
    for number in range(draw(st.integers(1, 12))):
        topic, partition, key = draw(st.sampled_from("tu")), draw(st.integers(0, 1)), draw(st.sampled_from(["x", "y"]))
        at_ms += draw(st.integers(0, 2000))
        payload = order(number, status=draw(st.sampled_from(["paid", "open"])))
        sent.append(Sent(topic, payload, key, partition, 10 * number, at_ms, draw(st.integers(0, 9)) > 0))
    run = Run(SUBSCRIPTIONS, sent, processes=draw(st.integers(1, 3)))
    if draw(st.booleans()):
        run.deliver_all(draw(st.integers(0, 50)))
    for _ in range(draw(st.integers(0, 25))):
        number = draw(st.integers(0, len(sent) - 1))
        extra = got(number, sent[number], draw(st.sampled_from(["/a", "/b", "/c"])), draw(st.integers(0, 20_000)))
        run.got.append(extra._replace(status=draw(st.sampled_from([200, 200, 204, 500]))))
    return run


@settings(max_examples=60, deadline=None)
@given(runs())
def test_comparison_says_what_a_naive_one_says(run: Run) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        result = comparison.compare(run.write(Path(scratch) / "run"))
    for subscription, found in zip(SUBSCRIPTIONS, result.subscriptions, strict=True):
        assert told(found) == naive(run, subscription)
    every = [late for one in SUBSCRIPTIONS for late in latencies(run, one)]
    assert figures(result.latency) == naive_figures(every)
    assert sum(second.received for second in result.seconds) == sum(one.status < 300 for one in run.got)
    assert sum(second.duplicates for second in result.seconds) == sum(one.duplicates for one in result.subscriptions)
    assert sum(second.published for second in result.seconds) == sum(one.acknowledged for one in run.sent)


def told(found: SubscriptionResult) -> dict[str, Any]:
    return {
        "expected": found.expected,
        "delivered": found.delivered,
        "missing": [one.number for one in found.missing],
        "lost": found.lost,
        "unexpected": found.unexpected,
        "duplicates": found.duplicates,
        "disorders": found.disorders,
        "key_disorders": found.key_disorders,
        "unacknowledged": found.unacknowledged,
        "refused": found.refused,
        "latency": figures(found.latency),
        "stall_ms": round(found.longest_stall_s * 1000),
    }


def naive(run: Run, subscription: RunSubscription) -> dict[str, Any]:
    wanted = [number for number, one in enumerate(run.sent) if wants(subscription, one)]
    expected = [number for number in wanted if run.sent[number].acknowledged]
    here = arrived(run, subscription)
    firsts = first_ones(run, subscription)
    first_numbers = [one.number for one in firsts]
    missing = [number for number in expected if number not in first_numbers]
    return {
        "expected": len(expected),
        "delivered": len(expected) - len(missing),
        "missing": missing,
        "lost": len(missing),
        "unexpected": sum(one.number not in wanted for one in here),
        "duplicates": sum(one.number in wanted for one in here) - len(firsts),
        "disorders": late_ones(run, firsts, by_key=False),
        "key_disorders": late_ones(run, firsts, by_key=True),
        "unacknowledged": sum(number not in expected for number in first_numbers),
        "refused": sum(one.path == subscription.path and one.status >= 300 for one in run.got),
        "latency": naive_figures(latencies(run, subscription)),
        "stall_ms": naive_stall_ms(run, expected, firsts),
    }


def arrived(run: Run, subscription: RunSubscription) -> list[Got]:
    """In the order in which `Run` writes them."""
    ordered = sorted(run.got, key=lambda one: one.at_ms)
    here = [(index, one) for index, one in enumerate(ordered) if one.path == subscription.path and one.status < 300]
    by_process = sorted(here, key=lambda each: (each[1].at_ms, each[0] % run.processes, each[0]))
    return [one for _, one in by_process]


def first_ones(run: Run, subscription: RunSubscription) -> list[Got]:
    firsts: dict[int | None, Got] = {}
    for one in arrived(run, subscription):
        if one.number is not None and wants(subscription, run.sent[one.number]):
            firsts.setdefault(one.number, one)
    return list(firsts.values())


def late_ones(run: Run, firsts: Sequence[Got], *, by_key: bool) -> int:
    """First arrivals after that of a higher offset of the lane; by key: where Kafka's acknowledgement has the key."""

    def lane(one: Got) -> tuple[object, ...]:
        return (one.topic, one.partition, one.key if by_key else None)

    counted = [one for one in firsts if not by_key or run.sent[one.number or 0].acknowledged]
    return sum(
        any(lane(before) == lane(one) and before.offset > one.offset for before in counted[:index])
        for index, one in enumerate(counted)
    )


def latencies(run: Run, subscription: RunSubscription) -> list[int]:
    return [max(0, one.at_ms - (one.appended_ms - BEGAN_NS // MS)) for one in first_ones(run, subscription)]


def naive_figures(values: list[int]) -> dict[str, float] | None:
    if not values:
        return None
    ordered = sorted(values)
    ranks = {name: ordered[ceil(len(ordered) * permille / 1000) - 1] for name, permille in PERMILLE.items()}
    assert ranks["p50_ms"] == statistics.median_low(values)
    return {
        "min_ms": min(values),
        "average_ms": round(statistics.fmean(values), 6),
        "max_ms": max(values),
        **ranks,
    }


def figures(latency: Latency | None) -> dict[str, float] | None:
    if latency is None:
        return None
    names = ("min_ms", "average_ms", "max_ms", *PERMILLE)
    return {name: round(getattr(latency, name), 6) for name in names}


def naive_stall_ms(run: Run, expected: Sequence[int], firsts: Sequence[Got]) -> int:
    """The longest time without an arrival, in each lane, counted from when something is there that arrives later."""
    facts = run.facts()
    ended_ms = (facts.ended_ns - BEGAN_NS) // MS
    longest = 0
    for lane in {(run.sent[number].topic, run.sent[number].partition) for number in expected}:
        in_lane = [one for one in firsts if (one.topic, one.partition) == lane]
        times = [one.at_ms for one in in_lane]
        for index, at_ms in enumerate([*times, ended_ms]):
            arrived_before = {one.number for one in in_lane[:index]}
            there = [
                run.sent[number].at_ms
                for number in expected
                if (run.sent[number].topic, run.sent[number].partition) == lane and number not in arrived_before
            ]
            since_ms = max(min(there), times[index - 1] if index else 0) if there else at_ms
            longest = max(longest, at_ms - since_ms)
    return longest
