"""Why a run has not passed, in a sentence for each reason."""

import math
from collections.abc import Iterator, Sequence

from webhookd_load_test.counted import counted
from webhookd_load_test.run_folder.bounds import Bounds
from webhookd_load_test.run_folder.facts import LEAST_HEADROOM, Headroom, RunFacts
from webhookd_load_test.run_folder.result import SubscriptionResult
from webhookd_load_test.run_folder.units import NS_PER_S

NAMED = 3
"""How many subscriptions a sentence names."""

_FAULTS = {
    "lost": ("record is lost", "records are lost"),
    "unexpected": ("delivery was not expected", "deliveries were not expected"),
    "disorders": (
        "record arrived after a later one of its partition",
        "records arrived after a later one of their partition",
    ),
    "key_disorders": ("record arrived after a later one of its key", "records arrived after a later one of their key"),
    "wrong_places": (
        "delivery has another topic, partition or offset than Kafka acknowledged",
        "deliveries have another topic, partition or offset than Kafka acknowledged",
    ),
    "wrong_keys": (
        "delivery has another key than was published",
        "deliveries have another key than was published",
    ),
    "wrong_values": (
        "delivery has another value than was published",
        "deliveries have another value than was published",
    ),
    "invalid_signatures": ("request has an invalid signature", "requests have an invalid signature"),
}
"""What may never happen, by the field of the result that counts it: one, and several."""


def faults_of(
    subscriptions: Sequence[SubscriptionResult],
    facts: RunFacts,
    bounds: Bounds,
    *,
    unacknowledged: int,
    elsewhere: int,
    last_ns: int,
) -> Iterator[str]:
    """The reasons, the worst ones first. `last_ns` is when the last first delivery came; 0: nothing came.

    `unacknowledged` are records of the file that Kafka has not acknowledged: in a whole run it has all.
    """
    if not facts.complete:
        yield f"partial: the run ended early{f' ({facts.reason})' if facts.reason else ''}"
    if not any(one.expected for one in subscriptions):
        yield "nothing was expected: no record that a subscription wants was acknowledged by Kafka"
    for field, (one_fault, several) in _FAULTS.items():
        counts = [(one.name, count) for one in subscriptions if (count := getattr(one, field))]
        if counts:
            yield f"{counted(sum(count for _, count in counts), one_fault, several)}: {_named(counts)}"
    if facts.complete and unacknowledged:
        yield counted(
            unacknowledged,
            "record was not acknowledged by Kafka, so the run is smaller than its scenario",
            "records were not acknowledged by Kafka, so the run is smaller than its scenario",
        )
    if elsewhere:
        yield counted(
            elsewhere, "delivery went to a path of no subscription", "deliveries went to paths of no subscription"
        )
    if facts.undrained:
        yield facts.undrained
    yield from _beyond_bounds(subscriptions, facts, bounds, last_ns)
    if facts.headroom is not None:
        yield from _too_slow(facts.headroom)


def _beyond_bounds(
    subscriptions: Sequence[SubscriptionResult], facts: RunFacts, bounds: Bounds, last_ns: int
) -> Iterator[str]:
    duplicates = sum(one.duplicates for one in subscriptions)
    if bounds.duplicates is not None and duplicates > bounds.duplicates:
        yield f"{counted(duplicates, 'duplicate')}, more than the bound of {bounds.duplicates:,}"
    if bounds.stall_s is not None:
        yield from _stalled(subscriptions, {one.id for one in facts.subscriptions if one.faulty}, bounds.stall_s)
    drained_s = (last_ns - facts.published_ns) / NS_PER_S if last_ns and facts.published_ns else 0.0
    if drained_s > bounds.drain_s:
        yield f"the last record arrived {drained_s:.1f} s after the load, the bound is {bounds.drain_s:g} s"
    if bounds.flat_memory:
        yield from (f"not flat: {process}: {text}" for process, text in facts.flat.items())


def _stalled(subscriptions: Sequence[SubscriptionResult], faulty: set[str], bound_s: float) -> Iterator[str]:
    stalled = [one for one in subscriptions if one.longest_stall_s > bound_s and one.id not in faulty]
    if stalled:
        worst = max(stalled, key=lambda one: one.longest_stall_s)
        yield (
            f"{counted(len(stalled), 'subscription')} had a lane that stood still for longer than {bound_s:g} s; "
            f"the longest: {worst.longest_stall_s:.1f} s, {worst.longest_stall_lane} of {worst.name}"
        )


def _too_slow(headroom: Headroom) -> Iterator[str]:
    """The parts of the load test that are so slow that a run measures them."""
    for side in headroom.sides:
        if not side.enough:
            yield (
                f"the {side.name} was measured at {side.alone_per_s:,.0f} records/s alone, "
                f"{math.floor(side.factor * 100) / 100:.2f} times what the scenario needs; {LEAST_HEADROOM:g} times "
                "are needed for the figures to be webhookd's"
            )


def _named(counts: Sequence[tuple[str, int]]) -> str:
    shown = [f"{name} {count:,}" for name, count in counts[:NAMED]]
    more = len(counts) - len(shown)
    return ", ".join([*shown, *([f"and {counted(more, 'more subscription')}"] if more else [])])
